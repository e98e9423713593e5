//! Rounds, medians and ratios.

use super::ways::{Way, Ways};
use vestibule_e2e::Outcome;

/// What one way did in one turn.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// The figure itself.
    pub value: f64,
    /// CPU of the process in between.
    pub cpu_ms: Option<f64>,
}

/// What one way came to over all rounds.
#[derive(Debug)]
pub struct Row {
    /// The way.
    pub name: &'static str,
    /// Median of the figure.
    pub value: f64,
    /// Median of the ratio to the direct way in the same round.
    pub to_direct: f64,
    /// Median of the ratio to the pooler in the same round; not a number where it took no part.
    pub to_pooler: f64,
    /// Median of the CPU.
    pub cpu_ms: Option<f64>,
}

/// Lets every way that takes part have its turn in each round; the order is reversed each round.
///
/// # Errors
/// When a turn fails.
pub fn rounds(
    ways: &Ways,
    rounds: usize,
    takes_part: impl Fn(&Way) -> bool,
    turn: impl Fn(&Way) -> Outcome<Figures>,
) -> Outcome<Vec<Row>> {
    let mut order: Vec<&Way> = ways.all().iter().filter(|way| takes_part(way)).collect();
    let names: Vec<&'static str> = order.iter().map(|way| way.name).collect();
    let mut taken: Vec<Vec<(&'static str, Figures)>> = Vec::new();
    for _ in 0..rounds {
        let round: Outcome<Vec<_>> = order.iter().map(|way| Ok((way.name, turn(way)?))).collect();
        taken.push(round?);
        order.reverse();
    }
    Ok(names.into_iter().map(|name| row(name, &taken)).collect())
}

fn row(name: &'static str, taken: &[Vec<(&'static str, Figures)>]) -> Row {
    let of = |round: &[(&'static str, Figures)], wanted: &str| {
        round.iter().find(|(way, _)| *way == wanted).map(|(_, figures)| *figures)
    };
    let ratio = |to: &str| {
        let ratios = taken.iter().filter_map(|round| Some(of(round, name)?.value / of(round, to)?.value));
        median(&mut ratios.collect::<Vec<_>>())
    };
    let mut values: Vec<f64> = taken.iter().filter_map(|round| Some(of(round, name)?.value)).collect();
    let mut cpu: Vec<f64> = taken.iter().filter_map(|round| of(round, name)?.cpu_ms).collect();
    Row {
        name,
        value: median(&mut values),
        to_direct: ratio("direct"),
        to_pooler: ratio("pgbouncer (session)"),
        cpu_ms: (!cpu.is_empty()).then(|| median(&mut cpu)),
    }
}

/// The median; not a number of nothing.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{Figures, median, row};

    #[test]
    fn ratios_are_taken_within_a_round() {
        let figures = |value| Figures { value, cpu_ms: None };
        let taken: Vec<Vec<_>> = [(100.0, 50.0), (10.0, 6.0), (40.0, 28.0)]
            .into_iter()
            .map(|(direct, proxy)| vec![("direct", figures(direct)), ("proxy", figures(proxy))])
            .collect();
        let row = row("proxy", &taken);
        assert!((row.to_direct - 0.6).abs() < 1e-9);
        assert!((row.value - 28.0).abs() < 1e-9);
        assert!(row.to_pooler.is_nan());
        assert!(median(&mut []).is_nan());
    }
}
