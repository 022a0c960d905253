//! The definition as the API server is to have it: what the types say, put after Kubernetes' conventions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::{columns, rules};

/// The definition of `WorkerPool`, as `kubectl apply` takes it.
#[must_use]
pub fn definition() -> CustomResourceDefinition {
    let mut definition = crate::WorkerPool::crd();
    for version in &mut definition.spec.versions {
        version.additional_printer_columns = Some(columns::columns());
        if let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            tidy(root);
            name_the_name(root);
            rules::add(root);
        }
    }
    definition
}

/// Takes away what schemars says and Kubernetes' conventions advise against.
fn tidy(schema: &mut JSONSchemaProps) {
    // Optional is not nullable: a field that is not there is left out.
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    schema.title = None;
    if let Some(description) = &mut schema.description {
        *description = unwrapped(description);
    }
    for part in parts(schema) {
        tidy(part);
    }
}

/// Declares `metadata.name`, so that a rule on it can name it as the field that is wrong.
fn name_the_name(root: &mut JSONSchemaProps) {
    let typed = |kind: &str| JSONSchemaProps { type_: Some(kind.to_owned()), ..JSONSchemaProps::default() };
    let mut metadata = typed("object");
    metadata.properties = Some([("name".to_owned(), typed("string"))].into());
    root.properties.get_or_insert_default().insert("metadata".to_owned(), metadata);
}

/// The schemas of a schema's fields, list items and map values.
fn parts(schema: &mut JSONSchemaProps) -> impl Iterator<Item = &mut JSONSchemaProps> {
    let fields = schema.properties.iter_mut().flat_map(|fields| fields.values_mut());
    let items = schema.items.iter_mut().filter_map(|items| match items {
        JSONSchemaPropsOrArray::Schema(schema) => Some(&mut **schema),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    });
    let values = schema.additional_properties.iter_mut().filter_map(|values| match values {
        JSONSchemaPropsOrBool::Schema(schema) => Some(&mut **schema),
        JSONSchemaPropsOrBool::Bool(_) => None,
    });
    fields.chain(items).chain(values)
}

/// A doc comment as plain text, without the line ends that its source has; paragraphs stay.
fn unwrapped(text: &str) -> String {
    let text = text.replace('`', "");
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>());
    paragraphs.map(|words| words.join(" ")).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
#[path = "crd_tests.rs"]
mod tests;
