//! Databases and queues of a run, which go away with it.

use deskhand_jobs::JobId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// A database of one measure.
pub(crate) struct Scratch {
    /// Its address.
    pub(crate) url: String,
    /// What it is called in the tables that are printed.
    pub(crate) name: &'static str,
    /// The server that has it, and its name there.
    server: Option<(String, String)>,
    _directory: Option<tempfile::TempDir>,
}

impl Scratch {
    /// Makes a file.
    pub(crate) fn sqlite() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir_in(std::env::var("TMPDIR").unwrap_or_else(|_| "/tmp".to_owned()))?;
        let url = format!("sqlite://{}", directory.path().join("deskhand.db").display());
        Ok(Self { url, name: "sqlite", server: None, _directory: Some(directory) })
    }

    /// Makes a database on the server, if one is named.
    pub(crate) async fn postgres() -> anyhow::Result<Option<Self>> {
        let Ok(server) = std::env::var("DESKHAND_TEST_POSTGRES_URL") else {
            println!("  postgres is left out: set DESKHAND_TEST_POSTGRES_URL");
            return Ok(None);
        };
        let name = format!("deskhand_bench_{:016x}", rand::random::<u64>());
        run(&server, format!("CREATE DATABASE {name}")).await?;
        let mut url = url::Url::parse(&server)?;
        url.set_path(&name);
        Ok(Some(Self { url: url.to_string(), name: "postgres", server: Some((server, name)), _directory: None }))
    }

    /// Makes one of each.
    pub(crate) async fn each() -> anyhow::Result<Vec<Self>> {
        Ok([Some(Self::sqlite()?), Self::postgres().await?].into_iter().flatten().collect())
    }

    /// Removes it.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        if let Some((server, name)) = &self.server {
            run(server, format!("DROP DATABASE {name} WITH (FORCE)")).await?;
        }
        Ok(())
    }
}

/// Returns the address of the Redis server, if one is named.
pub(crate) fn redis() -> Option<String> {
    let url = std::env::var("DESKHAND_TEST_REDIS_URL").ok();
    if url.is_none() {
        println!("  redis is left out: set DESKHAND_TEST_REDIS_URL");
    }
    url
}

/// Returns a prefix that nobody else has.
pub(crate) fn prefix() -> String {
    format!("bench:{}", JobId::new())
}

/// Removes what a measure left in Redis.
pub(crate) async fn clear(url: &str, prefix: &str) -> anyhow::Result<()> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut connection).await?;
    for part in keys.chunks(500) {
        redis::cmd("UNLINK").arg(part).query_async::<()>(&mut connection).await?;
    }
    Ok(())
}

async fn run(server: &str, sql: String) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server).await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    Ok(())
}
