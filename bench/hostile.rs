//! What a call's latency is while a session of somebody else sends the worst that it can.

use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;

use serde_json::{Value, json};

use crate::api::Api;
use crate::arguments::Plan;
use crate::figures::{Figures, percentiles, round};
use crate::load::{Load, SETTLE};
use crate::measuring::{WARM_UP, Window};

mod attack;
mod attacker;

use attack::Attack;
use attacker::Attacker;

/// The thread of the session that attacks.
struct Enemy {
    /// None: it rests.
    orders: Sender<Option<Attack>>,
    /// How many datagrams each attack had, and zero once all is connected.
    done: Receiver<Result<u64, String>>,
}

impl Enemy {
    fn start(plan: Plan, publisher: String) -> Enemy {
        let (orders, taken) = mpsc::channel();
        let (tell, done) = mpsc::channel();
        thread::spawn(move || {
            if let Err(problem) = work(&plan, &publisher, &taken, &tell) {
                // Nobody listens once the measurement has failed.
                let _ = tell.send(Err(problem));
            }
        });
        Enemy { orders, done }
    }

    fn order(&self, attack: Option<Attack>) -> Result<(), String> {
        let given = self.orders.send(attack);
        given.map_err(|_| "the session that attacks has ended".into())
    }

    /// What it has done, while the others go on.
    fn wait(&self, load: &mut Load) -> Result<u64, String> {
        loop {
            match self.done.try_recv() {
                Ok(done) => return done,
                Err(TryRecvError::Disconnected) => {
                    return Err("the session that attacks has failed".into());
                }
                Err(TryRecvError::Empty) => load.turn()?,
            }
        }
    }
}

fn work(
    plan: &Plan,
    publisher: &str,
    orders: &Receiver<Option<Attack>>,
    tell: &Sender<Result<u64, String>>,
) -> Result<(), String> {
    let mut attacker = Attacker::connect(plan, publisher)?;
    let mut attack = None;
    let mut done = Some(0);
    loop {
        if let Some(count) = done.take()
            && tell.send(Ok(count)).is_err()
        {
            return Ok(());
        }
        match orders.try_recv() {
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => attacker.turn(attack)?,
            Ok(next) => {
                done = attack.is_some().then(|| attacker.end_attack());
                attack = next;
            }
        }
    }
}

/// Publishers and subscribers as in any other measurement: alone first, then beside each attack.
pub fn run(plan: &Plan) -> Result<(), String> {
    let api = Api::new(plan);
    let mut load = Load::new(plan)?;
    let publishers = (0..plan.publishers)
        .map(|_| load.publish(&api, &[plan.media]))
        .collect::<Result<Vec<_>, _>>()?;
    load.run(SETTLE)?;
    load.subscribe_to_all(&api, &publishers, plan)?;
    let first = publishers.first().ok_or("there is no publisher")?;
    let enemy = Enemy::start(plan.clone(), first.clone());
    enemy.wait(&mut load)?;
    let mut alone = None;
    for attack in [None].into_iter().chain(Attack::ALL.map(Some)) {
        enemy.order(attack)?;
        let window = Window::after(WARM_UP, plan.seconds);
        let figures = load.measure(plan.publishers, window)?;
        let mut datagrams = 0;
        if attack.is_some() {
            enemy.order(None)?;
            datagrams = enemy.wait(&mut load)?;
        }
        let line = line(attack, datagrams, figures, &mut alone);
        println!("{line}");
    }
    Ok(())
}

fn line(
    attack: Option<Attack>,
    datagrams: u64,
    mut figures: Figures,
    alone: &mut Option<i64>,
) -> Value {
    let [p50, p99, _, worst] = percentiles(&mut figures.part.latencies);
    let without = *alone.get_or_insert(p99.into());
    let used = &figures.used;
    json!({
        "attack": attack.map_or("none", Attack::name),
        "datagrams": datagrams,
        "p50Us": p50,
        "p99Us": p99,
        "addedP99Us": i64::from(p99) - without,
        "worstUs": worst,
        "lossPercent": round(figures.loss() * 100.0, 1000.0),
        "serverCorePercent": round(used.server.all() / used.seconds * 100.0, 10.0),
    })
}
