//! Metrics as Prometheus reads them.

/// The samples of one look at `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<Sample>);

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Samples {
    /// Reads the text form.
    ///
    /// Panics on a line that is none.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(sample).collect())
    }

    /// The sum of all samples of this name that have all of these labels; zero when there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(key, value)| sample.labels.iter().any(|(k, v)| k == key && v == value))
        };
        self.0.iter().filter(has).map(|sample| sample.value).fold(0.0, |sum, value| sum + value)
    }

    /// Whether there is a sample of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|sample| sample.name == name)
    }

    /// Panics unless they are those of an operator that decides, and none of whose decisions broke a rule.
    pub fn assert_sound(&self) {
        const VIOLATIONS: &str = "reelpool_invariant_violations_total";
        assert!(self.sum("reelpool_decisions_total", &[]) > 0.5, "nothing was decided: {self:?}");
        assert!(self.has(VIOLATIONS), "it does not tell whether its decisions break a rule: {self:?}");
        assert!(self.sum(VIOLATIONS, &[]) < 0.5, "its decisions break a rule: {self:?}");
    }

    /// How many samples there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

fn sample(line: &str) -> Sample {
    let unreadable = || -> ! { panic!("no sample: {line}") };
    // A time stamp may follow the value.
    let (series, rest) = match line.rfind('}') {
        Some(end) => line.split_at(end + 1),
        None => line.split_once(' ').unwrap_or_else(|| unreadable()),
    };
    let value = rest.split_whitespace().next().and_then(|value| value.parse().ok());
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Sample {
        name: name.to_owned(),
        labels: pairs(labels.trim_end_matches('}')),
        value: value.unwrap_or_else(|| unreadable()),
    }
}

/// `a="b",c="d"`; values are quoted as in C.
fn pairs(mut text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    while let Some((key, rest)) = text.split_once("=\"") {
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, next)) = chars.next() {
            match next {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => {
                    value.extend(chars.next().map(|(_, quoted)| if quoted == 'n' { '\n' } else { quoted }));
                }
                other => value.push(other),
            }
        }
        pairs.push((key.trim_start_matches([',', ' ']).to_owned(), value));
        text = &rest[end..];
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_their_labels() {
        let text = "# HELP a what it is\n# TYPE a counter\na{x=\"1\",y=\"a,b\"} 2\na{x=\"2\",y=\"q\\\"q\"} 3e0 17\nb 0.5\n";
        let samples = Samples::parse(text);
        assert_eq!(samples.count(), 3);
        let sums = [
            samples.sum("a", &[]),
            samples.sum("a", &[("x", "1"), ("y", "a,b")]),
            samples.sum("a", &[("y", "q\"q")]),
            samples.sum("b", &[]),
            samples.sum("a", &[("x", "3")]),
        ];
        let bits = sums.map(f64::to_bits);
        assert_eq!(bits, [5.0, 2.0, 3.0, 0.5, 0.0].map(f64::to_bits));
        assert!(samples.has("a") && !samples.has("x"));
    }

    #[test]
    fn an_operator_is_sound_only_when_it_says_so() {
        let is_sound = |text: &str| std::panic::catch_unwind(|| Samples::parse(text).assert_sound()).is_ok();
        let (decided, kept, broken) = (
            "reelpool_decisions_total{reason=\"Busy\"} 1\n",
            "reelpool_invariant_violations_total{rule=\"x\"} 0\n",
            "reelpool_invariant_violations_total{rule=\"y\"} 1\n",
        );
        assert!(is_sound(&[decided, kept].concat()));
        for wrong in [vec![], vec![kept], vec![decided], vec![decided, kept, broken]] {
            assert!(!is_sound(&wrong.concat()), "{wrong:?}");
        }
    }
}
