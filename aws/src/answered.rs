//! The service's own clock, as its answers tell it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

/// By so many seconds the clocks of two servers of one service may differ: who wrote is another than who answers.
const CLOCKS_DIFFER: i64 = 5;

/// When a service answered, by its own clock: the `Date` of a call's last answer (RFC 9110, 6.6.1). Give a clone of it
/// to the call as an interceptor.
#[derive(Debug, Clone, Default)]
pub struct AnsweredAt(Arc<Mutex<Option<DateTime>>>);

impl AnsweredAt {
    /// How long before the answer `moment` was, to within a second: HTTP tells no fractions. `None` where there was no
    /// answer with a date, or `moment` was after it by more than the clocks of one service differ.
    #[must_use]
    pub fn since(&self, moment: &DateTime) -> Option<Duration> {
        let answered = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let age = answered.secs() - moment.secs();
        (age >= -CLOCKS_DIFFER).then(|| Duration::from_secs(u64::try_from(age).unwrap_or(0)))
    }
}

impl Intercept for AnsweredAt {
    fn name(&self) -> &'static str {
        "AnsweredAt"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_by_the_services_clock_alone() {
        let moment = |text| DateTime::from_str(text, Format::DateTime).unwrap();
        let answered = AnsweredAt(Arc::new(Mutex::new(Some(moment("2001-01-01T00:01:00Z")))));
        assert_eq!(answered.since(&moment("2001-01-01T00:00:18.5Z")), Some(Duration::from_secs(42)));
        assert_eq!(answered.since(&moment("2001-01-01T00:01:00.9Z")), Some(Duration::ZERO));
        assert_eq!(answered.since(&moment("2001-01-01T00:01:05Z")), Some(Duration::ZERO));
        assert_eq!(answered.since(&moment("2001-01-01T00:01:06Z")), None);
        assert_eq!(AnsweredAt::default().since(&moment("2001-01-01T00:00:00Z")), None);
    }
}
