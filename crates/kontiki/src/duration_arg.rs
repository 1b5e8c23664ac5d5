//! Durations on the command line: `500ms`, `1s`, `2m`, `1h`, or a sum such as `1m30s`.

use std::time::Duration;

/// Parses a duration; a number without unit is refused, since nobody could tell which was meant.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wanted = || format!("`{text}` is no duration: give for example 500ms, 1s, 2m or 1m30s");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wanted());
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wanted)?;
        let (number, after) = rest.split_at(unit_at);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let seconds_per_unit = match unit.trim() {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(wanted()),
        };
        let number: f64 = number.parse().map_err(|_| wanted())?;
        let part = Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| wanted())?;
        total = total.checked_add(part).ok_or_else(wanted)?;
        rest = next;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("0.5h"), Ok(Duration::from_mins(30)));
        for bad in ["", "5", "s", "1x", "-1s", "1e400s", "1..2s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
