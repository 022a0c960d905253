//! What RBAC lets the operator do, and what it does not.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use reelpool_cluster::{ControlPlane, Settings, on_a_runtime};

use serde_json::{Value, json};

use crate::helm::{NAMESPACE, RELEASE, chart, eventually, install};
use crate::operator::{MEDIA, Operator, deployment, pool};

/// API servers that guard owner references are stricter: what works there works everywhere.
const GUARDED: &str = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement";
const OPERATOR: &str = "system:serviceaccount:reelpool-system:reelpool-operator";

/// In every namespace with pools: API group, resource, verbs.
const WITH_POOLS: [(&str, &str, &str); 7] = [
    ("reelpool.dev", "workerpools", "list watch"),
    ("reelpool.dev", "workerpools/status", "patch"),
    ("reelpool.dev", "workerpools/finalizers", "update"),
    ("apps", "deployments", "create get list patch watch"),
    ("apps", "deployments/scale", "patch"),
    ("", "pods", "list patch watch"),
    ("events.k8s.io", "events", "create"),
];

/// In its own namespace besides: API group, resource and the one object, verbs.
const AT_HOME: [(&str, &str, &str); 3] = [
    ("coordination.k8s.io", "leases", "create"),
    ("coordination.k8s.io", "leases reelpool-operator", "get update"),
    ("", "secrets reelpool-drain-key", "get patch"),
];

/// Namespace, verb, API group, resource, name: each is one step from what it may.
const FORBIDDEN: [(&str, &str, &str, &str, &str); 36] = [
    (MEDIA, "get", "reelpool.dev", "workerpools", "cattube"),
    (MEDIA, "create", "reelpool.dev", "workerpools", ""),
    (MEDIA, "update", "reelpool.dev", "workerpools", "cattube"),
    (MEDIA, "patch", "reelpool.dev", "workerpools", "cattube"),
    (MEDIA, "delete", "reelpool.dev", "workerpools", "cattube"),
    (MEDIA, "update", "reelpool.dev", "workerpools/status", "cattube"),
    (MEDIA, "update", "apps", "deployments", "cattube-workers"),
    (MEDIA, "delete", "apps", "deployments", "cattube-workers"),
    (MEDIA, "update", "apps", "deployments/scale", "cattube-workers"),
    (MEDIA, "create", "apps", "daemonsets", ""),
    (MEDIA, "get", "apps", "replicasets", ""),
    (MEDIA, "patch", "apps", "statefulsets", ""),
    (MEDIA, "get", "", "pods", "a"),
    (MEDIA, "create", "", "pods", ""),
    (MEDIA, "delete", "", "pods", "a"),
    (MEDIA, "create", "", "pods/exec", "a"),
    (MEDIA, "create", "", "pods/eviction", "a"),
    (MEDIA, "get", "", "pods/log", "a"),
    (MEDIA, "patch", "", "pods/status", "a"),
    (MEDIA, "get", "", "secrets", "reelpool-drain-key"),
    (MEDIA, "list", "", "secrets", ""),
    (MEDIA, "get", "", "configmaps", ""),
    (MEDIA, "create", "coordination.k8s.io", "leases", ""),
    (MEDIA, "delete", "events.k8s.io", "events", ""),
    (MEDIA, "create", "", "serviceaccounts/token", "default"),
    (NAMESPACE, "get", "", "secrets", "other"),
    (NAMESPACE, "list", "", "secrets", ""),
    (NAMESPACE, "create", "", "secrets", ""),
    (NAMESPACE, "delete", "", "secrets", "reelpool-drain-key"),
    (NAMESPACE, "get", "coordination.k8s.io", "leases", "other"),
    (NAMESPACE, "delete", "coordination.k8s.io", "leases", "reelpool-operator"),
    ("", "list", "", "nodes", ""),
    ("", "list", "", "namespaces", ""),
    ("", "patch", "apiextensions.k8s.io", "customresourcedefinitions", "workerpools.reelpool.dev"),
    ("", "create", "rbac.authorization.k8s.io", "clusterrolebindings", ""),
    ("", "impersonate", "", "users", ""),
];

#[test]
fn the_operator_may_do_what_it_must_and_nothing_else() {
    let settings = Settings { api_server_flags: vec![GUARDED.to_owned()], ..Settings::default() };
    let plane = ControlPlane::start(settings);
    let _ = install(&plane, &[]);
    let pool = pool(&plane);
    eventually("the roles are in force", || may(&plane, OPERATOR, MEDIA, "list", "", "pods", ""));

    for (group, resource, verbs) in WITH_POOLS {
        for verb in verbs.split(' ') {
            assert!(may(&plane, OPERATOR, MEDIA, verb, group, resource, "x"), "it may not {verb} {resource}");
        }
    }
    for (group, resource, verbs) in AT_HOME {
        let (resource, name) = resource.split_once(' ').unwrap_or((resource, ""));
        for verb in verbs.split(' ') {
            assert!(
                may(&plane, OPERATOR, NAMESPACE, verb, group, resource, name),
                "it may not {verb} {resource}"
            );
        }
    }
    for (namespace, verb, group, resource, name) in FORBIDDEN {
        assert!(
            !may(&plane, OPERATOR, namespace, verb, group, resource, name),
            "it may {verb} {resource} {name} in {namespace}"
        );
    }

    // The list is whole: whatever else there is was given to everybody by Kubernetes itself.
    let kubeconfig = plane.kubeconfig_for((NAMESPACE, "reelpool-operator"));
    let everybody = plane.kubectl(&["create", "serviceaccount", "-n", MEDIA, "nobody"]).ok();
    assert!(everybody.contains("created"));
    let nobody = plane.kubeconfig_for((MEDIA, "nobody"));
    let beyond = |namespace: &str| -> BTreeSet<String> {
        let own = rules(&plane, &kubeconfig, namespace);
        own.difference(&rules(&plane, &nobody, namespace)).cloned().collect()
    };
    let listed = |rights: &[(&str, &str, &str)]| -> BTreeSet<String> {
        rights.iter().map(|(group, resource, verbs)| format!("{group}/{resource}: {verbs}")).collect()
    };
    assert_eq!(beyond(MEDIA), listed(&WITH_POOLS));
    assert_eq!(beyond(NAMESPACE), listed(&[&WITH_POOLS[..], &AT_HOME].concat()));

    users(&plane);
    one_namespace(&plane);
    owner_references(&plane, &pool);
}

/// Why the operator has `update` on `workerpools/finalizers`: without it this API server refuses its Deployments.
fn owner_references(plane: &ControlPlane, pool: &Value) {
    let operator = Operator::of(plane);
    let _ = operator.apply(&deployment("cattube-workers", Some(pool))).ok();
    let role = ["get", "clusterrole", "reelpool-operator-pools", "-o", "json"];
    let mut role: Value = serde_json::from_str(&plane.kubectl(&role).ok()).unwrap();
    let rules = role["rules"].as_array_mut().unwrap();
    let before = rules.len();
    rules.retain(|rule| rule["resources"] != json!(["workerpools/finalizers"]));
    assert_eq!(rules.len(), before - 1);
    let _ = plane.kubectl_with(&["replace", "-f", "-"], &role.to_string()).ok();
    let own = deployment("second-workers", Some(pool));
    eventually("the API server guards the owner", || {
        let ran = operator.kubectl(&["create", "--dry-run=server", "-f", "-"], &own);
        ran.stderr.contains("cannot set blockOwnerDeletion")
    });
}

/// Who has Kubernetes' own roles in a namespace has the rights to its pools that belong to them.
fn users(plane: &ControlPlane) {
    for role in ["admin", "edit", "view"] {
        let (role_flag, user) = (format!("--clusterrole={role}"), format!("--user={role}-of-media"));
        let _ = plane.kubectl(&["create", "rolebinding", role, "-n", MEDIA, &role_flag, &user]).ok();
    }
    let pools = |user: &str, namespace: &str, verb: &str| {
        may(plane, user, namespace, verb, "reelpool.dev", "workerpools", "x")
    };
    eventually("the roles are aggregated", || {
        pools("view-of-media", MEDIA, "get") && pools("edit-of-media", MEDIA, "create")
    });
    for user in ["admin-of-media", "edit-of-media"] {
        for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
            assert!(pools(user, MEDIA, verb), "{user} may not {verb} pools");
        }
        assert!(!pools(user, "default", "get"), "{user} may get pools elsewhere");
        assert!(
            !may(plane, user, MEDIA, "patch", "reelpool.dev", "workerpools/status", "x"),
            "{user} may write the status"
        );
    }
    assert!(pools("view-of-media", MEDIA, "list") && !pools("view-of-media", MEDIA, "create"));
}

/// With `watchNamespace` there is no right anywhere else.
fn one_namespace(plane: &ControlPlane) {
    let _ = plane.kubectl(&["create", "namespace", "tenant"]).ok();
    let own = "watchNamespace=tenant,crds.install=false,rbac.aggregateToDefaultRoles=false";
    let chart = chart();
    let _ =
        plane.helm(&["install", RELEASE, &chart, "-n", "second", "--create-namespace", "--set", own]).ok();
    let operator = "system:serviceaccount:second:reelpool-operator";
    eventually("the roles are in force", || may(plane, operator, "tenant", "list", "", "pods", ""));
    for (group, resource, verbs) in WITH_POOLS {
        for verb in verbs.split(' ') {
            assert!(
                may(plane, operator, "tenant", verb, group, resource, "x"),
                "it may not {verb} {resource}"
            );
            for elsewhere in [MEDIA, "second", ""] {
                assert!(
                    !may(plane, operator, elsewhere, verb, group, resource, "x"),
                    "it may {verb} {resource} in `{elsewhere}`"
                );
            }
        }
    }
}

/// Asks the API server whether somebody may do something. No namespace: in all of them.
fn may(
    plane: &ControlPlane,
    user: &str,
    namespace: &str,
    verb: &str,
    group: &str,
    resource: &str,
    name: &str,
) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let text = |text: &str| Some(text.to_owned());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: text(user),
            groups: Some(vec!["system:authenticated".to_owned(), "system:serviceaccounts".to_owned()]),
            resource_attributes: Some(ResourceAttributes {
                namespace: text(namespace),
                verb: text(verb),
                group: text(group),
                resource: text(resource),
                subresource: text(subresource),
                name: text(name),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    on_a_runtime(async {
        let api: Api<SubjectAccessReview> = Api::all(plane.client().await);
        api.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
    })
}

/// All that this kubeconfig's user may do to resources in a namespace, as `group/resource name: verbs`.
fn rules(plane: &ControlPlane, kubeconfig: &std::path::Path, namespace: &str) -> BTreeSet<String> {
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) },
        ..SelfSubjectRulesReview::default()
    };
    let status = on_a_runtime(async {
        let api: Api<SelfSubjectRulesReview> = Api::all(plane.client_of(kubeconfig).await);
        api.create(&PostParams::default(), &review).await.unwrap().status.unwrap()
    });
    assert!(!status.incomplete);
    let mut rules = BTreeSet::new();
    for rule in status.resource_rules {
        let mut verbs = rule.verbs;
        verbs.sort();
        let names = rule.resource_names.unwrap_or_default();
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.iter().flatten() {
                let what = [std::slice::from_ref(resource), &names[..]].concat().join(" ");
                rules.insert(format!("{group}/{what}: {}", verbs.join(" ")));
            }
        }
    }
    rules
}

/// The rights are told to users: in the chart's README.
#[test]
fn the_readme_lists_every_right() {
    let readme = std::fs::read_to_string(format!("{}/README.md", chart())).unwrap();
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.split(" | ").collect())
        .collect();
    for (_, resource, verbs) in WITH_POOLS.iter().chain(&AT_HOME) {
        let resource = resource.split(' ').next().unwrap();
        let row = rows.iter().find(|row| row[0].contains(&format!("`{resource}`")));
        let row = row
            .unwrap_or_else(|| panic!("README.md does not say that the operator has rights on {resource}"));
        for verb in verbs.split(' ') {
            assert!(row[1].contains(verb), "README.md does not say that the operator may {verb} {resource}");
        }
    }
}
