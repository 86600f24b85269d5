//! The manifests fit each other and the program.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{is_a_command, text, texts, yaml};

const ROOM: &str = "config/deploy/kubernetes";

fn objects() -> Vec<Value> {
    texts(&[ROOM]).into_iter().flat_map(|(_, text)| yaml(&text)).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn names(objects: &[Value], kind: &str) -> BTreeSet<String> {
    of_kind(objects, kind)
        .iter()
        .map(|object| object["metadata"]["name"].as_str().expect("a name").to_owned())
        .collect()
}

fn port(address: &Value) -> u64 {
    address.as_str().and_then(|address| address.rsplit(':').next()?.parse().ok()).expect("an address")
}

#[test]
fn the_kustomization_names_every_file_but_the_alternatives() {
    let kustomization = yaml(&text(&format!("{ROOM}/kustomization.yaml"))).remove(0);
    let named = kustomization["resources"].as_array().expect("resources").iter();
    let named: BTreeSet<String> = named.map(|name| name.as_str().expect("a name").to_owned()).collect();
    let there: BTreeSet<String> = texts(&[ROOM])
        .iter()
        .map(|(path, _)| path.file_name().expect("a file").to_string_lossy().into_owned())
        .collect();
    let others: Vec<&String> = there.difference(&named).collect();
    assert_eq!(others, ["keda.yaml", "kustomization.yaml", "secret.example.yaml"]);
    assert!(named.is_subset(&there), "{named:?}");
}

#[test]
fn every_process_is_one_of_the_program_and_has_what_it_names() {
    let objects = objects();
    let (maps, secrets) = (names(&objects, "ConfigMap"), names(&objects, "Secret"));
    let settings = &of_kind(&objects, "ConfigMap")[0]["data"];
    let workloads = [of_kind(&objects, "Deployment"), of_kind(&objects, "Job")].concat();
    assert_eq!(workloads.len(), 4);
    for workload in workloads {
        let pod = &workload["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let arguments = container["args"].as_array().expect("arguments").iter();
        is_a_command(ROOM, &arguments.map(|word| word.as_str().expect("a word")).collect::<Vec<_>>());
        let (map, secret) = (&container["envFrom"][0]["configMapRef"], &container["envFrom"][1]["secretRef"]);
        assert!(maps.contains(map["name"].as_str().expect("a name")));
        assert!(secrets.contains(secret["name"].as_str().expect("a name")));
        assert!(secrets.contains(pod["volumes"][0]["secret"]["secretName"].as_str().expect("a name")));
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let key = settings["DESKHAND_SECRETS__KEY_FILE"].as_str().expect("a path");
        assert!(key.starts_with(container["volumeMounts"][0]["mountPath"].as_str().expect("a path")));
    }
}

#[test]
fn deployments_are_probed_where_they_listen_and_have_time_to_stop() {
    let objects = objects();
    let settings = &of_kind(&objects, "ConfigMap")[0]["data"];
    let grace_s: u64 =
        settings["DESKHAND_WORKER__GRACE_S"].as_str().and_then(|text| text.parse().ok()).expect("seconds");
    for deployment in of_kind(&objects, "Deployment") {
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
        let role = labels["role"].as_str().expect("a role");
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let ports = &container["ports"][0];
        let listens = if role == "api" { "DESKHAND_SERVER__LISTEN" } else { "DESKHAND_SERVER__HEALTH_LISTEN" };
        assert_eq!(ports["containerPort"], port(&settings[listens]), "{role}");
        for (probe, path) in [("startupProbe", "/health"), ("livenessProbe", "/health"), ("readinessProbe", "/ready")] {
            let asked = &container[probe]["httpGet"];
            assert_eq!((&asked["path"], &asked["port"]), (&Value::from(path), &ports["name"]), "{role} {probe}");
        }
        let stop_s = pod["terminationGracePeriodSeconds"].as_u64().expect("seconds");
        assert!(role != "worker" || stop_s >= grace_s + 15, "{role} has {stop_s} s for a grace of {grace_s} s");
        let budgets = of_kind(&objects, "PodDisruptionBudget");
        assert!(budgets.iter().any(|budget| &budget["spec"]["selector"]["matchLabels"] == labels), "{role}");
    }
    let service = of_kind(&objects, "Service")[0];
    assert_eq!(service["spec"]["selector"]["role"], "api");
}

#[test]
fn autoscalers_scale_the_workers() {
    let objects = objects();
    let deployments = names(&objects, "Deployment");
    for kind in ["HorizontalPodAutoscaler", "ScaledObject"] {
        let scaler = of_kind(&objects, kind)[0];
        let target = scaler["spec"]["scaleTargetRef"]["name"].as_str().expect("a target");
        assert!(target == "deskhand-worker" && deployments.contains(target), "{kind}");
    }
    // Who says how many there are must be the only one.
    let workers =
        of_kind(&objects, "Deployment").into_iter().find(|found| found["metadata"]["name"] == "deskhand-worker");
    assert!(workers.expect("workers")["spec"]["replicas"].is_null());
}
