//! What a process does: any of three roles, side by side.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use clap::ValueEnum;
use deskhand_jobs::worker::{self, Worker};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::open::App;
use crate::base::{Error, Result};
use crate::dispatch::schedules::Scheduler;
use crate::dispatch::{Auditor, Keeper, Reconciler, Relay};
use crate::http;

/// How long open requests may go on once the process is told to stop: one that never ends must not hold it up.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// A part of the work that a process takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answers HTTP.
    Api,
    /// Fires schedules, sends jobs from the database into the queue, and finds lost ones.
    Scheduler,
    /// Runs jobs, and writes their ends into the database.
    Worker,
}

impl Role {
    /// All roles: what one process does alone.
    pub const ALL: [Self; 3] = [Self::Api, Self::Scheduler, Self::Worker];
}

/// The roles of this process at work.
pub struct Running {
    tasks: JoinSet<&'static str>,
    /// The keeper stops last: the worker's last settlements have endings.
    keeper_stop: CancellationToken,
    workers: JoinSet<()>,
    address: Option<SocketAddr>,
    health_address: Option<SocketAddr>,
}

impl Running {
    /// Starts roles; they stop when `stop` fires.
    ///
    /// # Errors
    /// [`Error::Invalid`] if an address cannot be taken, or a schedule is wrong; [`Error::Internal`] without threads for the worker.
    pub async fn start(app: &App, roles: &[Role], stop: &CancellationToken) -> Result<Self> {
        let mut running = Self::default();
        let has = |role| roles.contains(&role);
        if has(Role::Api) {
            let routes = http::router(app.clone());
            running.address = running.serve(("api", "server.listen"), app.config.server.listen, routes, stop).await?;
        } else if let Some(listen) = app.config.server.health_listen {
            let routes = http::probes(app.clone());
            running.health_address = running.serve(("health", "server.health_listen"), listen, routes, stop).await?;
        }
        if has(Role::Scheduler) || has(Role::Worker) {
            let relay = Relay::new(app.db.clone(), Arc::clone(&app.queue)).noting(app.rounds.clone());
            running.spawn("relay", stop, async move |stop| relay.run(stop).await);
        }
        if has(Role::Scheduler) {
            app.declare_schedules().await?;
            let scheduler = Scheduler::new(app.db.clone(), Arc::clone(&app.registry)).noting(app.rounds.clone());
            running.spawn("scheduler", stop, async move |stop| scheduler.run(stop).await);
            let reconciler = Reconciler::new(app.db.clone(), Arc::clone(&app.queue)).noting(app.rounds.clone());
            running.spawn("reconciler", stop, async move |stop| reconciler.run(stop).await);
            let auditor = Auditor::new(Arc::clone(&app.queue)).noting(app.rounds.clone());
            running.spawn("auditor", stop, async move |stop| auditor.run(stop).await);
        }
        if has(Role::Worker) {
            running.work(app, stop.clone())?;
        }
        Ok(running)
    }

    /// Returns the address of the API, if it is served.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Returns the address of health and figures, if this process has no API and tells them.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// Waits until a part ends by itself, which none should before it is told to; returns which one.
    ///
    /// A process that goes on without its relay or its worker looks alive and does nothing.
    pub async fn ended_early(&mut self) -> &'static str {
        tokio::select! {
            Some(ended) = self.tasks.join_next() => ended.unwrap_or("part that panicked"),
            Some(_) = self.workers.join_next() => "worker",
        }
    }

    /// Waits until every role has stopped.
    pub async fn finished(mut self) {
        while self.workers.join_next().await.is_some() {}
        self.keeper_stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(name) => tracing::debug!("the {name} has stopped"),
                Err(error) => tracing::error!(error = %error, "a role ended badly"),
            }
        }
    }

    fn spawn<F>(&mut self, name: &'static str, stop: &CancellationToken, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = run(stop.clone());
        self.tasks.spawn(async move {
            work.await;
            name
        });
    }

    async fn serve(
        &mut self,
        (name, key): (&'static str, &'static str),
        listen: SocketAddr,
        routes: Router,
        stop: &CancellationToken,
    ) -> Result<Option<SocketAddr>> {
        http::metrics::record()?;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            let pointer = format!("/{}", key.replace('.', "/"));
            Error::field(pointer, format!("cannot listen on {listen}: {error}; stop what has it, or set {key}"))
        })?;
        let address = listener.local_addr().ok();
        let routes = routes.layer(Extension(http::Stopping(stop.clone())));
        let server = axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        self.spawn(name, stop, async move |stop| {
            tokio::select! {
                ended = server.into_future() => {
                    if let Err(error) = ended {
                        tracing::error!(error = %error, "the {name} ended badly");
                    }
                }
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_REQUESTS).await } => {
                    tracing::warn!("requests that did not end within {} s were cut off", LAST_REQUESTS.as_secs());
                }
            }
        });
        self.spawn("upkeep of figures", stop, async move |stop| {
            tokio::select! {
                () = stop.cancelled() => {}
                () = http::metrics::upkeep() => {}
            }
        });
        Ok(address)
    }

    fn work(&mut self, app: &App, stop: CancellationToken) -> Result<()> {
        let settled = Arc::clone(&app.settled);
        let keeper = Keeper::new(app.db.clone(), Arc::clone(&app.queue)).noting(app.rounds.clone());
        let wake = Arc::clone(&settled);
        let keeper_stop = self.keeper_stop.clone();
        self.spawn("keeper", &keeper_stop, async move |stop| keeper.run(stop, wake).await);

        let settings = &app.config.worker;
        let config = worker::Config {
            name: format!("{}:{}", host(), std::process::id()),
            queues: settings.queues.clone(),
            concurrency: settings.concurrency,
            grace: settings.grace(),
        };
        let threads = app.threads.of(config.concurrency)?;
        let worker = Worker::new(Arc::clone(&app.queue), (*app.registry).clone(), config)
            .on_runtime(Handle::current())
            .on_settled(move || settled.notify_one());
        // Tests start a worker twice in one app; the first look stays.
        let _ = app.worker.set(worker.health());
        let work = async move {
            worker.run(stop).await;
        };
        self.workers.spawn_on(work, &threads);
        Ok(())
    }
}

impl Default for Running {
    fn default() -> Self {
        let (tasks, workers) = (JoinSet::new(), JoinSet::new());
        Self { tasks, workers, keeper_stop: CancellationToken::new(), address: None, health_address: None }
    }
}

/// Returns the name of this host as Linux tells it.
fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let told = told.trim();
    if told.is_empty() { "host".to_owned() } else { told.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_by_itself_is_noticed() {
        let mut running = Running::default();
        let stop = CancellationToken::new();
        running.spawn("keeper", &stop, async |stop: CancellationToken| stop.cancelled().await);
        running.spawn("relay", &stop, async |_| {});
        assert_eq!(running.ended_early().await, "relay");
        running.workers.spawn(async { panic!("for the test") });
        assert_eq!(running.ended_early().await, "worker");
        stop.cancel();
        running.finished().await;
    }
}
