//! Values that are wrong are refused, with words that say what to do.

use crate::helm::{chart, documents, try_template};

#[test]
fn wrong_values_are_refused_with_a_reason() {
    let table = [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("image.repo=x", "at '/image': additional properties 'repo' not allowed"),
        (
            "workerImage.pullPolicy=Always",
            "at '/workerImage': additional properties 'pullPolicy' not allowed",
        ),
        ("networkPolicy.egress=true", "at '/networkPolicy': additional properties 'egress' not allowed"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("replicas=-1", "at '/replicas': minimum: got -1, want 0"),
        ("replicas=11", "at '/replicas': maximum: got 11, want 10"),
        ("crds.install=maybe", "at '/crds/install': got string, want boolean"),
        ("image=null", "missing property 'image'"),
        ("serviceMonitor.interval=null", "at '/serviceMonitor': missing property 'interval'"),
        ("image.pullPolicy=Sometimes", "value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("log.format=xml", "at '/log/format': value must be one of 'text', 'json'"),
        ("decisions.perPool=0", "at '/decisions/perPool': minimum: got 0, want 1"),
        ("maxConcurrentQueueReads=0", "at '/maxConcurrentQueueReads': minimum: got 0, want 1"),
        ("networkPolicy.apiServerPorts={0}", "at '/networkPolicy/apiServerPorts/0': minimum: got 0, want 1"),
        ("podLabels.team=7", "at '/podLabels/team': got number, want string"),
        ("securityContext.runAsUser=0", "additional properties 'securityContext' not allowed"),
        ("imagePullSecrets={registry}", "at '/imagePullSecrets/0': got string, want object"),
        (
            "extraVolumes[0].name=host,extraVolumes[0].hostPath.path=/",
            "at '/extraVolumes/0': additional properties 'hostPath' not allowed",
        ),
        ("extraEnv[0].value=x", "at '/extraEnv/0': missing property 'name'"),
        (
            "image.registry=https://x.io",
            "image.registry is \"https://x.io\": it must be a host and, if need be, a path, without https://",
        ),
        (
            "image.repository=reelpool:1",
            "image.repository is \"reelpool:1\": it must be a path such as media/reelpool, with the tag in image.tag",
        ),
        (
            "workerImage.tag=sha256:1",
            "workerImage.tag is \"sha256:1\": it must be a tag such as 0.1.0; a digest goes into workerImage.digest",
        ),
        (
            "image.digest=sha256:1",
            "image.digest is \"sha256:1\": it must be sha256: and 64 hexadecimal digits",
        ),
        ("aws.endpointURL=minio:9000", "aws.endpointURL is \"minio:9000\": it must be a URL without a path"),
        (
            "aws.endpointURL=http://minio/x",
            "aws.endpointURL is \"http://minio/x\": it must be a URL without a path",
        ),
        ("aws.region=Ireland", "aws.region is \"Ireland\": it must be a region such as eu-west-1"),
        ("watchNamespace=Media", "watchNamespace is \"Media\": it must be at most 63 lower-case letters"),
        ("fullnameOverride=a.b", "fullnameOverride is \"a.b\": it must be at most 63 lower-case letters"),
        (
            "workerNetworkPolicy.namespaces={a_b}",
            "workerNetworkPolicy.namespaces has \"a_b\": it must be the name of a namespace",
        ),
        (
            "workerNetworkPolicy.namespaces={a,a}",
            "at '/workerNetworkPolicy/namespaces': items at 0 and 1 are equal",
        ),
        (
            "serviceMonitor.interval=often",
            "serviceMonitor.interval is \"often\": it must be a duration such as 15s",
        ),
        (
            "serviceAccount.create=false",
            "serviceAccount.name is empty: name the operator's service account, or set serviceAccount.create to true",
        ),
        ("serviceAccount.name=Me", "serviceAccount.name is \"Me\": it must be lower-case letters"),
        (
            "workerServiceAccount.create=true,workerServiceAccount.name=reelpool-operator",
            "workerServiceAccount.name is \"reelpool-operator\", which is the operator's own: give workers another account",
        ),
    ];
    for (values, reason) in table {
        let said = try_template(&["--set", values]).expect_err(values);
        assert!(said.contains(reason), "{values}: expected `{reason}`, helm said:\n{said}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let said = try_template(&["--set", "watchNamespace=Media,aws.region=Ireland"]).unwrap_err();
    assert!(said.contains("watchNamespace is") && said.contains("aws.region is"), "{said}");
}

#[test]
fn odd_but_right_values_are_taken() {
    let table = [
        "replicas=0",
        "image.registry=localhost:5000",
        "image.registry=123456789012.dkr.ecr.eu-west-1.amazonaws.com/team_a/media",
        "image.digest=sha256:0123456789012345678901234567890123456789012345678901234567890123",
        "aws.endpointURL=http://[fd00::9]:4566",
        "aws.region=us-gov-west-1",
        "serviceMonitor.interval=1m30s",
        "serviceAccount.create=false,serviceAccount.name=given.by-others",
        "affinity=null",
        "extraVolumes[0].name=ca,extraVolumes[0].configMap.name=ca,extraVolumes[1].name=x,extraVolumes[1].emptyDir.medium=Memory",
        "dashboard.labels.grafana_dashboard=null",
        "global.imageRegistry=x",
        "enabled=true",
    ];
    for values in table {
        // As a file, a list or a number in it keeps its type.
        try_template(&["--set", values]).unwrap_or_else(|error| panic!("{values}: {error}"));
    }
}

#[test]
fn the_port_of_the_endpoint_is_let_through() {
    for (url, port) in [
        ("http://10.0.0.9:4566", 4566),
        ("http://[fd00::9]:9000/", 9000),
        ("http://minio.storage", 80),
        ("https://s3.example.com", 443),
    ] {
        let value = format!("aws.endpointURL={url}");
        let rendered =
            crate::helm::template(&["--set", &value, "--show-only", "templates/networkpolicy.yaml"]);
        let policy = &documents(&rendered)[0];
        // A rule for anywhere, as the endpoint may be in the cluster or outside.
        let wanted = serde_json::json!({"ports": [{"port": port, "protocol": "TCP"}]});
        let rules = policy["spec"]["egress"].as_array().unwrap();
        assert!(rules.contains(&wanted), "{url}: {rules:?}");
    }
}

/// A value without a line in the schema is refused; one in the schema without a default would not be found by users.
#[test]
fn values_and_schema_name_the_same_things() {
    let read = |name: &str| std::fs::read_to_string(format!("{}/{name}", chart())).unwrap();
    let values = &documents(&read("values.yaml"))[0];
    let schema: serde_json::Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut missing = Vec::new();
    compare("", values, &schema, &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}

fn compare(path: &str, values: &serde_json::Value, schema: &serde_json::Value, missing: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    // Parts of Kubernetes' own types are not the chart's to list.
    let foreign = ["/global", "/enabled", "/resources/claims", "/resources/requests", "/resources/limits"];
    for (name, schema) in properties {
        let path = format!("{path}/{name}");
        match values.get(name) {
            Some(values) => compare(&path, values, schema, missing),
            None if foreign.contains(&path.as_str()) => {}
            None => missing.push(path),
        }
    }
}
