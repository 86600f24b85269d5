//! Spans on their way: a bounded queue, and one task that sends what is in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// So many spans may wait; more are dropped. About 10 MB.
const WAITING: usize = 8192;
/// The most spans of one request.
const BATCH: usize = 512;
/// How long spans wait for company.
const LINGER: Duration = Duration::from_secs(1);
/// How often a batch is offered, unless the collector is known to be away.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How long a stop waits for the last spans to be taken.
const LAST: Duration = Duration::from_secs(5);

const EXPORTED: &str = "deskhand_spans_exported_total";
const DROPPED: &str = "deskhand_spans_dropped_total";

/// Describes the figures to the recorder of this process.
pub fn describe() {
    metrics::describe_counter!(EXPORTED, "Spans that a collector has taken");
    metrics::describe_counter!(DROPPED, "Spans that were lost, by reason: queue_full, collector");
}

/// Takes spans without ever waiting; clones share the queue.
#[derive(Clone)]
pub(in crate::telemetry) struct Batches {
    spans: mpsc::Sender<SpanData>,
    stop: CancellationToken,
    stopped: Arc<CancellationToken>,
}

impl Batches {
    /// Starts to send what is added, on the current runtime; `collector` is its address for people.
    pub(in crate::telemetry) fn start(exporter: impl SpanExporter + 'static, collector: String) -> Self {
        let (spans, waiting) = mpsc::channel(WAITING);
        let (stop, stopped) = (CancellationToken::new(), Arc::new(CancellationToken::new()));
        let sender = Sender { exporter, collector, away_since: None };
        tokio::spawn(send(sender, waiting, stop.clone(), stopped.clone()));
        Self { spans, stop, stopped }
    }

    /// Takes a span, or counts it as lost.
    pub(in crate::telemetry) fn add(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            metrics::counter!(DROPPED, "reason" => "queue_full").increment(1);
        }
    }

    /// Sends what waits and stops; a collector that does not answer is not waited for long.
    pub(in crate::telemetry) async fn finish(&self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST, self.stopped.cancelled()).await.is_err() {
            tracing::warn!("the last spans were not taken within {} s", LAST.as_secs());
        }
    }
}

async fn send<E: SpanExporter>(
    mut sender: Sender<E>,
    mut waiting: mpsc::Receiver<SpanData>,
    stop: CancellationToken,
    stopped: Arc<CancellationToken>,
) {
    let _stopped = stopped.as_ref().clone().drop_guard();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(span) = waiting.recv() => batch.push(span),
            else => break,
        }
        let until = tokio::time::sleep(LINGER);
        tokio::pin!(until);
        while batch.len() < BATCH {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = &mut until => break,
                Some(span) = waiting.recv() => batch.push(span),
                else => break,
            }
        }
        sender.send(&batch, &stop).await;
        batch.clear();
    }
    waiting.close();
    while let Some(span) = waiting.recv().await {
        batch.push(span);
        if batch.len() == BATCH {
            sender.send(&batch, &stop).await;
            batch.clear();
        }
    }
    sender.send(&batch, &stop).await;
}

struct Sender<E> {
    exporter: E,
    collector: String,
    away_since: Option<Instant>,
}

impl<E: SpanExporter> Sender<E> {
    async fn send(&mut self, batch: &[SpanData], stop: &CancellationToken) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let sent = self.offer(batch, stop).await;
        let collector = &self.collector;
        match sent {
            Ok(()) => {
                metrics::counter!(EXPORTED).increment(count);
                if let Some(since) = self.away_since.take() {
                    let outage_ms = since.elapsed().as_millis() as u64;
                    tracing::info!(collector, outage_ms, "the collector {collector} takes spans again");
                }
            }
            Err(error) => {
                metrics::counter!(DROPPED, "reason" => "collector").increment(count);
                if self.away_since.is_none() {
                    self.away_since = Some(Instant::now());
                    tracing::warn!(
                        collector,
                        error = %error,
                        "the collector {collector} takes no spans, they are dropped: check telemetry.otlp_endpoint"
                    );
                }
            }
        }
    }

    async fn offer(&self, batch: &[SpanData], stop: &CancellationToken) -> OTelSdkResult {
        let mut tries = if self.away_since.is_some() { 1 } else { TRIES };
        loop {
            let sent = self.exporter.export(batch.to_vec()).await;
            tries -= 1;
            if sent.is_ok() || tries == 0 || stop.is_cancelled() {
                return sent;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    #[derive(Debug)]
    enum Collector {
        Answers,
        Refuses,
        HoldsOn,
    }

    impl SpanExporter for Collector {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            match self {
                Self::Answers => Ok(()),
                Self::Refuses => Err(OTelSdkError::InternalFailure("for the test".to_owned())),
                Self::HoldsOn => std::future::pending().await,
            }
        }
    }

    fn span() -> SpanData {
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "test".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: opentelemetry::InstrumentationScope::default(),
        }
    }

    /// Returns what the figures say after so many spans, and a stop if it is to come.
    async fn counted(collector: Collector, spans: usize, stops: bool) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _here = metrics::set_default_local_recorder(&recorder);
        let batches = Batches::start(collector, "test".to_owned());
        for _ in 0..spans {
            batches.add(span());
        }
        if stops {
            batches.finish().await;
        }
        recorder.handle().render()
    }

    #[tokio::test]
    async fn a_stop_sends_what_waits() {
        let text = counted(Collector::Answers, BATCH + 1, true).await;
        assert!(text.contains(&format!("{EXPORTED} {}", BATCH + 1)), "{text}");
        assert!(!text.contains(DROPPED), "{text}");
    }

    #[tokio::test]
    async fn what_a_collector_does_not_take_is_counted() {
        let text = counted(Collector::Refuses, 3, true).await;
        assert!(text.contains(&format!("{DROPPED}{{reason=\"collector\"}} 3")), "{text}");
    }

    #[tokio::test]
    async fn a_collector_that_holds_on_holds_up_nobody() {
        let text = counted(Collector::HoldsOn, WAITING + 7, false).await;
        assert!(text.contains(&format!("{DROPPED}{{reason=\"queue_full\"}} 7")), "{text}");
    }
}
