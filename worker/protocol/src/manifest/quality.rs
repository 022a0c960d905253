//! How near a rendition is to its master.

use serde::{Deserialize, Serialize};

/// A measure of a rendition, over all of its frames: `{"ssim": 0.9876}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Structural similarity of luma and chroma: 1 is the same picture.
    Ssim(Score),
    /// VMAF: 100 is the same to the eye.
    Vmaf(Score),
}

/// A score from 0 to 100, kept to ten-thousandths; in JSON a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Score(u32);

impl Score {
    /// The score nearest to `value`; `None` where that is not from 0 to 100.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=100.0).contains(&value).then(|| Self((value * 10_000.0).round() as u32))
    }

    /// As a number.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl From<Score> for f64 {
    fn from(score: Score) -> Self {
        score.value()
    }
}

impl TryFrom<f64> for Score {
    type Error = &'static str;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("expected a score from 0 to 100")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_json_it_is_a_number() {
        let quality = Quality::Ssim(Score::new(0.987_649).unwrap());
        assert_eq!(serde_json::to_string(&quality).unwrap(), r#"{"ssim":0.9876}"#);
        assert_eq!(serde_json::from_str::<Quality>(r#"{"ssim":0.9876}"#).unwrap(), quality);
        let wrong = serde_json::from_str::<Quality>(r#"{"vmaf":100.5}"#).unwrap_err();
        assert!(wrong.to_string().contains("expected a score from 0 to 100"), "{wrong}");
        assert_eq!((Score::new(f64::NAN), Score::new(-0.1)), (None, None));
    }
}
