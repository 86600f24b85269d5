//! Rebuilds the program when a migration is added: the compiler sees only the files that were there before.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
