//! What can be typed, and which file answers.

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use super::{
    api, audit, backup, bench, completions, dead, doctor, enqueue, freezes, jobs, logging, migrate, openapi, probe,
    queues, remote_queues, role, schedules, secrets, serve, sync, sync_logs, tenant, token, top, user, workers,
};
use crate::app::App;
use crate::config::{self, Config};
use crate::telemetry::Format;

/// The durable job queue behind an IT service desk.
#[derive(Debug, Parser)]
#[command(name = "deskhand", version, propagate_version = true)]
pub struct Args {
    /// A file with settings; what it leaves out keeps its default.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How the log is written, on standard error; else as the settings say.
    #[arg(long, global = true, value_enum)]
    log_format: Option<Format>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the API, the scheduler and a worker in one process.
    Serve(serve::Serve),
    /// Run the API alone.
    Api(api::Api),
    /// Run the scheduler alone.
    Scheduler(serve::Scheduler),
    /// Run a worker alone.
    Worker(serve::Worker),
    /// Bring the database to the shape of this version.
    Migrate(migrate::Migrate),
    /// Enqueue a job.
    Enqueue(enqueue::Enqueue),
    /// Look at jobs and steer them.
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Look at queues, pause and resume them.
    #[command(subcommand)]
    Queues(queues::Queues),
    /// Declare queues for programs in other languages, which work over HTTP.
    #[command(subcommand)]
    RemoteQueues(remote_queues::RemoteQueues),
    /// Work through the dead letters.
    #[command(subcommand)]
    Dead(dead::Dead),
    /// Look at schedules and steer them.
    #[command(subcommand)]
    Schedules(schedules::Schedules),
    /// Look at the maintenance calendar and edit it.
    #[command(subcommand)]
    Freezes(freezes::Freezes),
    /// Look at the workers.
    #[command(subcommand)]
    Workers(workers::Workers),
    /// Sync external systems now, or tell how they stand.
    Sync(sync::Sync),
    /// Clear away the records of runs.
    #[command(subcommand)]
    SyncLogs(sync_logs::SyncLogs),
    /// Make tenants, refuse them for a while.
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Make users, give them roles.
    #[command(subcommand)]
    User(user::User),
    /// Make roles for the desk, see who has them.
    #[command(subcommand)]
    Role(role::Role),
    /// Make API tokens.
    #[command(subcommand)]
    Token(token::Token),
    /// Read, prove and export the record of who changed what.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Watch queues, workers and failures in the terminal.
    Top(top::Top),
    /// Change the key of the secrets.
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    /// Check the settings, the database and the queue.
    Doctor(doctor::Doctor),
    /// Print the document of the API.
    Openapi(openapi::Openapi),
    /// Copy the embedded database and queue into a new directory, while processes run.
    Backup(backup::Backup),
    /// Put a backup in the place of the embedded database and queue.
    Restore(backup::Restore),
    /// Measure how fast a queue is on your own server.
    Bench(bench::Bench),
    /// Ask the process of this host whether it is ready.
    Probe(probe::Probe),
    /// Print the completions of a shell.
    Completions(completions::Completions),
}

/// Does what was typed.
///
/// # Errors
/// One clear sentence with the cure.
pub async fn run(args: Args) -> anyhow::Result<()> {
    // These need no settings, so wrong ones do not hinder them.
    if let Command::Openapi(command) = args.command {
        return openapi::run(command);
    }
    if let Command::Completions(command) = &args.command {
        return completions::run(command, Args::command());
    }
    if let Command::Secrets(secrets::Secrets::NewKey {}) = args.command {
        return secrets::new_key();
    }
    let config = config::load(args.config.as_deref(), std::env::vars())?;
    let serves =
        matches!(args.command, Command::Serve(_) | Command::Api(_) | Command::Scheduler(_) | Command::Worker(_));
    let telemetry = logging::start(&config, args.log_format, serves)?;
    let done = answer(args.command, config, args.config).await;
    telemetry.finish().await;
    done
}

async fn answer(command: Command, config: Config, file: Option<PathBuf>) -> anyhow::Result<()> {
    match command {
        Command::Serve(command) => serve::serve(command, config).await,
        Command::Api(command) => api::run(command, config).await,
        Command::Scheduler(command) => serve::scheduler(command, config).await,
        Command::Worker(command) => serve::worker(command, config).await,
        Command::Doctor(command) => doctor::run(command, config, file).await,
        Command::Probe(command) => probe::run(command, &config).await,
        Command::Backup(command) => backup::make(command, &config).await,
        Command::Bench(command) => bench::run(command, &config).await,
        Command::Restore(command) => backup::restore(command, &config).await,
        other => Box::pin(once(other, config)).await,
    }
}

/// Does one thing and ends.
async fn once(command: Command, config: Config) -> anyhow::Result<()> {
    let app = App::open(config).await?;
    let done = match command {
        Command::Migrate(command) => migrate::run(command, &app),
        Command::Enqueue(command) => enqueue::run(command, &app).await,
        Command::Jobs(command) => jobs::run(command, &app).await,
        Command::Queues(command) => queues::run(command, &app).await,
        Command::RemoteQueues(command) => remote_queues::run(command, &app).await,
        Command::Dead(command) => dead::run(command, &app).await,
        Command::Schedules(command) => schedules::run(command, &app).await,
        Command::Freezes(command) => freezes::run(command, &app).await,
        Command::Workers(command) => workers::run(command, &app).await,
        Command::Sync(command) => sync::run(command, &app).await,
        Command::SyncLogs(command) => sync_logs::run(command, &app).await,
        Command::Tenant(command) => tenant::run(command, &app).await,
        Command::User(command) => user::run(command, &app).await,
        Command::Role(command) => role::run(command, &app).await,
        Command::Token(command) => token::run(command, &app).await,
        Command::Audit(command) => audit::run(command, &app).await,
        Command::Top(command) => top::run(command, &app).await,
        Command::Secrets(command) => secrets::run(command, &app).await,
        Command::Serve(_)
        | Command::Api(_)
        | Command::Scheduler(_)
        | Command::Worker(_)
        | Command::Doctor(_)
        | Command::Openapi(_)
        | Command::Probe(_)
        | Command::Backup(_)
        | Command::Bench(_)
        | Command::Restore(_)
        | Command::Completions(_) => {
            unreachable!("`run` has taken the commands that open the app themselves, or need none")
        }
    };
    app.close().await;
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
