//! The program.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use deskhand::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    // One TLS stack: without a chosen provider the first TLS connection would panic.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return fail("cannot set up TLS: a provider is there already");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    match runtime.block_on(cli::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&deskhand_jobs::outcome::chain(error.as_ref())),
    }
}

fn fail(message: &str) -> ExitCode {
    // Nobody may be there to read it, which is no reason to panic.
    let _ = writeln!(std::io::stderr(), "error: {message}");
    ExitCode::FAILURE
}
