//! A user's pod template laid over Reelpool's.

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};

/// Lays `over` on `base`, as `kubectl apply` would: what has a name or a key is merged by it, other lists are
/// replaced.
///
/// A volume of the same name is replaced as a whole: two kinds of volume in one would be refused. Variables of the same
/// name cannot come: those that Reelpool sets are refused before.
pub fn lay(base: &mut PodTemplateSpec, over: PodTemplateSpec) {
    let volumes = |spec: &PodSpec| spec.volumes.clone().unwrap_or_default();
    let new = over.spec.as_ref().map(volumes).unwrap_or_default();
    if let Some(volumes) = base.spec.as_mut().and_then(|spec| spec.volumes.as_mut()) {
        volumes.retain(|volume| new.iter().all(|new| new.name != volume.name));
    }
    base.merge_from(over);
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
