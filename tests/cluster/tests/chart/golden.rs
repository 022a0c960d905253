//! The rendered chart, compared with files that reviewers read.

use std::fmt::Write as _;

use crate::helm::{chart, documents, file, helm, object, template};

/// Set, the files are written instead of compared.
const UPDATE: &str = "REELPOOL_UPDATE_GOLDEN";

#[test]
fn the_defaults_render_as_the_golden_file_says() {
    golden("default", &[]);
}

#[test]
fn every_switch_renders_as_the_golden_file_says() {
    golden("everything", &["--values", &file("values/everything.yaml").display().to_string()]);
}

#[test]
fn one_namespace_renders_as_the_golden_file_says() {
    golden("one-namespace", &["--values", &file("values/one-namespace.yaml").display().to_string()]);
}

/// The CRD and the dashboard are copies of files, and have tests of their own.
fn golden(name: &str, args: &[&str]) {
    let mut all = vec!["--set", "crds.install=false,dashboard.enabled=false"];
    all.extend(args);
    let rendered = template(&all);
    let path = file(&format!("golden/{name}.yaml"));
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &rendered).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        golden == rendered,
        "the chart renders otherwise than {}:\n{}\nif that is meant: {UPDATE}=1 cargo test -p reelpool-cluster --test chart golden",
        path.display(),
        first_difference(&golden, &rendered)
    );
}

/// A few lines of both from the first that differs on.
fn first_difference(golden: &str, rendered: &str) -> String {
    let (golden, rendered): (Vec<_>, Vec<_>) = (golden.lines().collect(), rendered.lines().collect());
    let same = golden.iter().zip(&rendered).take_while(|(left, right)| left == right).count();
    let mut shown = format!("line {}\n", same + 1);
    for (sign, lines) in [('-', golden), ('+', rendered)] {
        for line in lines.iter().skip(same).take(8) {
            writeln!(shown, "{sign} {line}").unwrap();
        }
    }
    shown
}

#[test]
fn the_chart_passes_helms_own_lint() {
    let everything = file("values/everything.yaml").display().to_string();
    for args in
        [&["lint", "--strict", &chart()][..], &["lint", "--strict", &chart(), "--values", &everything]]
    {
        let said = helm(args).unwrap_or_else(|error| panic!("{error}"));
        assert!(said.contains("0 chart(s) failed"), "{said}");
    }
}

#[test]
fn the_crd_is_the_generated_one_and_is_kept() {
    let documents = documents(&template(&["--show-only", "templates/crds.yaml"]));
    let rendered = object(&documents, "CustomResourceDefinition", "workerpools.reelpool.dev");
    let generated =
        std::fs::read_to_string(format!("{}/files/crds/reelpool.dev_workerpools.yaml", chart())).unwrap();
    let generated = &self::documents(&generated)[0];
    // Too long to be shown: compare `helm template` with the file.
    assert!(rendered["spec"] == generated["spec"], "the template changes the CRD's spec");
    assert_eq!(rendered["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    assert_eq!(rendered["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
}

#[test]
fn the_chart_has_the_version_of_the_programs() {
    let chart = std::fs::read_to_string(format!("{}/Chart.yaml", chart())).unwrap();
    let chart = &documents(&chart)[0];
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
}
