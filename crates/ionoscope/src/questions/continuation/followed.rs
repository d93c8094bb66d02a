//! What was followed, and where it ended.

use ionoscope_analysis::{
    conserved::Held,
    continuation::{Branch, Stop, curves::Curve, cycles::CycleBranch},
};
use ionoscope_dynamics::spec::Spec;

use crate::{
    branch_ends::{End, ends},
    options::Over,
};

/// All that was followed.
pub struct Results {
    /// Branches of fixed points, or of the cycles of a map.
    pub branches: Vec<Branch>,
    /// Branches of periodic orbits.
    pub periodic: Vec<CycleBranch>,
    /// Curves of bifurcations over two parameters.
    pub curves: Vec<Curve>,
    /// What is conserved, at both ends of the interval.
    pub conserved: [Vec<Held>; 2],
}

/// All that was followed, with what was asked.
pub struct Followed<'a> {
    /// The results.
    pub results: Results,
    /// The spec of the system.
    pub spec: &'a Spec,
    /// The parameters, one of which is varied.
    pub p: &'a [f64],
    /// What is varied.
    pub over: &'a Over,
    /// Its unit.
    pub unit: String,
    /// The second parameter with its unit, where curves are followed.
    pub and: Option<(&'a Over, String)>,
    /// Steps of the cycles of a map.
    pub period: Option<usize>,
    /// Whether cycles were asked for.
    pub cycles: bool,
}

impl Followed<'_> {
    /// The ends of a branch.
    pub fn ends(&self, branch: &Branch) -> Vec<End> {
        let parameters: Vec<f64> = branch.points.iter().map(|q| q.parameter).collect();
        self.both_ends(&parameters, &branch.stopped)
    }

    /// The ends of a branch of cycles.
    pub fn cycle_ends(&self, branch: &CycleBranch) -> Vec<End> {
        let parameters: Vec<f64> = branch.points.iter().map(|q| q.parameter).collect();
        self.both_ends(&parameters, &branch.stopped)
    }

    fn both_ends(&self, parameters: &[f64], stopped: &[Stop; 2]) -> Vec<End> {
        let interval = [self.over.from, self.over.to];
        ends(&self.over.name, interval, parameters, stopped)
    }

    /// Whether each branch and curve was followed to an end of its own or of what was asked for.
    pub fn complete(&self) -> Vec<bool> {
        let Results {
            branches,
            periodic,
            curves,
            ..
        } = &self.results;
        let all = branches.iter().map(Branch::complete);
        all.chain(periodic.iter().map(CycleBranch::complete))
            .chain(curves.iter().map(Curve::complete))
            .collect()
    }

    /// What the branches say against themselves.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let points = || self.results.branches.iter().flat_map(|b| &b.points);
        let outside = points().filter(|q| q.extrapolated).count();
        if outside > 0 {
            let all = points().count();
            complaints.push(format!(
                "{outside} of {all} points: state or parameters outside the training range"
            ));
        }
        let complete = self.complete();
        let broken = complete.iter().filter(|whole| !**whole).count();
        if broken > 0 {
            complaints.push(format!(
                "{broken} of {} branches and curves broke off; what lies beyond was not searched for bifurcations",
                complete.len()
            ));
        }
        complaints
    }
}
