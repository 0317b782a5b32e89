//! Failures and paces at fixed times.

#![expect(clippy::unwrap_used, reason = "a test may")]

use super::*;

const BLOCK: Duration = Duration::from_mins(15);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_520_242_272_000 + seconds * 1000)
}

fn connection() -> Connection {
    Connection::database("con_8dQ2xYz0aBcD1eFg".parse().unwrap(), "db".to_owned(), Vec::new())
}

fn who(address: &str, name: &str) -> Who {
    Who::new(Some(address.parse().unwrap()), &connection(), name)
}

fn attempts() -> Attempts {
    Attempts::new(Limits { failures: 5, address_failures: 8, block_for: BLOCK })
}

fn retry(refused: Result<Attempt, TooMany>) -> u64 {
    refused.unwrap_err().retry_after.as_secs()
}

#[test]
fn failures_slow_a_name_down_and_then_block_it_for_a_while() {
    let attempts = attempts();
    let mut pauses = Vec::new();
    for second in 0..5 {
        let attempt = attempts.begin(who("10.0.0.1", "ann"), at(second)).unwrap();
        pauses.push(attempt.pause().as_millis());
        assert_eq!(attempt.failed(at(second)), second == 4);
    }
    assert_eq!(pauses, [0, 0, 0, 100, 200]);
    assert_eq!(retry(attempts.begin(who("10.0.0.1", "Ann"), at(5))), 15 * 60 - 1);
    assert_eq!(retry(attempts.begin(who("10.0.0.1", "ann"), at(4 + 15 * 60 - 1))), 1);
    for other in [who("10.0.0.1", "bob"), who("10.0.0.2", "ann")] {
        assert_eq!(attempts.begin(other, at(6)).unwrap().pause(), Duration::ZERO);
    }
    let free = attempts.begin(who("10.0.0.1", "ann"), at(4 + 15 * 60)).unwrap();
    assert_eq!(free.pause(), Duration::ZERO);
}

#[test]
fn pauses_grow_to_an_end() {
    assert_eq!([0, 2, 3, 4, 7, 8, 100].map(|n| pause(n).as_millis()), [0, 0, 100, 200, 1600, 1600, 1600]);
    assert_eq!(pause(usize::MAX), LONGEST_PAUSE);
}

#[test]
fn an_address_is_blocked_for_every_name_when_it_fails_for_many() {
    let attempts = attempts();
    for (number, name) in ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().enumerate() {
        let attempt = attempts.begin(who("10.0.0.1", name), at(0)).unwrap();
        assert_eq!(attempt.failed(at(0)), number == 7);
    }
    assert_eq!(retry(attempts.begin(who("10.0.0.1", "i"), at(0))), 15 * 60);
    attempts.begin(who("10.0.0.2", "i"), at(0)).unwrap();
    attempts.begin(who("10.0.0.1", "i"), at(15 * 60)).unwrap();
}

#[test]
fn an_address_in_use_all_day_is_blocked_only_when_it_fails_often_in_a_while() {
    let attempts = attempts();
    let fail = |name: u64, second| {
        let attempt = attempts.begin(who("10.0.0.1", &name.to_string()), at(second)).unwrap();
        attempt.failed(at(second))
    };
    for round in 0..96 {
        assert!(!fail(round, round * 5 * 60), "one failure in five minutes");
    }
    let start = 24 * 60 * 60;
    let blocks: Vec<bool> = (0..8).map(|round| fail(round, start + round * 60)).collect();
    assert_eq!(blocks, [false, false, false, false, false, false, false, true]);
    let end = start + 7 * 60 + 15 * 60;
    assert_eq!(retry(attempts.begin(who("10.0.0.1", "ann"), at(end - 1))), 1);
    attempts.begin(who("10.0.0.1", "ann"), at(end)).unwrap();
}

#[test]
fn failures_for_a_name_are_forgotten_a_while_after_the_first() {
    let attempts = attempts();
    let begin = |second| attempts.begin(who("10.0.0.1", "ann"), at(second)).unwrap();
    for second in [0, 600, 600, 899] {
        begin(second).failed(at(second));
    }
    assert_eq!(begin(899).pause().as_millis(), 200);
    assert_eq!(begin(900).pause(), Duration::ZERO);
    let late = begin(899);
    assert!(!late.failed(at(900)), "the fifth, but the first of the next while");
    assert_eq!(begin(901).pause(), Duration::ZERO);
}

#[test]
fn a_clock_set_back_blocks_nobody_for_longer_than_twice_the_time() {
    let attempts = attempts();
    let begin = |second| attempts.begin(who("10.0.0.1", "ann"), at(second));
    let ahead = 365 * 24 * 3600;
    for _ in 0..5 {
        begin(ahead).unwrap().failed(at(ahead));
    }
    let block = BLOCK.as_secs();
    assert_eq!(retry(begin(ahead)), block);
    assert_eq!(retry(begin(ahead - block + 1)), block, "set back a little, it lasts");
    assert_eq!(begin(ahead - block).unwrap().pause(), Duration::ZERO);
    assert_eq!(begin(0).unwrap().pause(), Duration::ZERO);
}

#[test]
fn a_clock_set_back_gives_everybody_the_whole_burst_again() {
    let paces = Paces::default();
    let step = |seconds| paces.step(who("10.0.0.1", "ann"), at(seconds));
    let ahead = 365 * 24 * 3600;
    for _ in 0..10 {
        assert_eq!(step(ahead).retry_after, None);
    }
    assert!(step(ahead).retry_after.is_some());
    assert!(step(ahead - 60).retry_after.is_some(), "set back a little, it holds");
    assert_eq!(step(0).remaining, 9);
}

#[test]
fn a_network_of_ipv6_is_one_address() {
    assert_eq!(who("2001:db8::1", "ann"), who("2001:db8::2:0:0:ffff", "ann"));
    assert_ne!(who("2001:db8::1", "ann"), who("2001:db8:0:1::1", "ann"));
    assert_ne!(who("10.0.0.1", "ann"), who("10.0.0.2", "ann"));
}

#[test]
fn attempts_at_the_same_moment_count_before_they_are_judged() {
    let attempts = attempts();
    let mut begun: Vec<Attempt> =
        (0..5).map(|_| attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap()).collect();
    assert_eq!(begun[4].pause().as_millis(), 200);
    assert_eq!(retry(attempts.begin(who("10.0.0.1", "ann"), at(0))), 1);
    begun.pop();
    attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap();
}

#[test]
fn the_right_password_clears_the_name_but_not_the_address() {
    let attempts = attempts();
    for _ in 0..4 {
        attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap().failed(at(0));
    }
    attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap().succeeded();
    assert_eq!(attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap().pause(), Duration::ZERO);
    for _ in 0..4 {
        attempts.begin(who("10.0.0.1", "ann"), at(0)).unwrap().failed(at(0));
    }
    assert_eq!(retry(attempts.begin(who("10.0.0.1", "bob"), at(0))), 15 * 60);
}

#[test]
fn a_new_password_clears_the_user_everywhere() {
    let attempts = attempts();
    let names = [who("10.0.0.1", "ann@x.test"), who("10.0.0.2", "anniek"), who("10.0.0.2", "bob")];
    for who in names {
        for _ in 0..5 {
            // The pause between two keeps the address free.
            if let Ok(attempt) = attempts.begin(who, at(0)) {
                attempt.failed(at(0));
            }
        }
    }
    let user = User {
        id: crate::domain::UserId::from_bytes([0; 12]),
        email: "ann@x.test".to_owned(),
        email_verified: false,
        username: Some("anniek".to_owned()),
        created_at: at(0),
        updated_at: at(0),
        blocked: false,
        profile: crate::domain::Profile::default(),
        activity: crate::domain::Activity::default(),
        app_metadata: None,
        user_metadata: None,
    };
    attempts.forget(&connection(), &user);
    attempts.begin(names[0], at(0)).unwrap();
    let counts = attempts.counts.lock();
    let failures = |who: Who| counts.by_name.entries[&who].value.failures;
    assert_eq!(names.map(failures), [0, 0, 3]);
}

#[test]
fn memory_has_an_end_and_forgets_what_was_quiet_longest() {
    let mut few = Remembered::new(20);
    for number in 0..100_u64 {
        few.put(number, (), at(number));
        assert!(few.entries.len() <= 20);
        assert!(few.get(&number).is_some());
    }
    assert!(few.get(&50).is_none() && few.get(&90).is_some());
    for number in 100..200_u64 {
        few.put(number, (), at(100));
        assert!(few.entries.len() <= 20);
    }
}

#[test]
fn ten_letters_at_once_and_then_one_a_minute() {
    let paces = Paces::default();
    let step = |second| paces.step(who("10.0.0.1", "ann@x.test"), at(second));
    for left in (0..10).rev() {
        let pace = step(0);
        assert_eq!((pace.retry_after, pace.remaining), (None, left));
    }
    let pace = step(0);
    assert_eq!((pace.retry_after, pace.remaining), (Some(Duration::from_mins(1)), 0));
    assert_eq!(pace.reset, at(600));
    assert_eq!(step(59).retry_after, Some(Duration::from_secs(1)));
    assert_eq!(step(60).retry_after, None);
    assert_eq!(step(60).retry_after, Some(Duration::from_mins(1)));
    assert_eq!(paces.step(who("10.0.0.2", "ann@x.test"), at(0)).retry_after, None);
    assert_eq!(paces.step(who("10.0.0.1", "bob@x.test"), at(0)).retry_after, None);
    let pace = step(10_000);
    assert_eq!((pace.retry_after, pace.remaining, pace.limit), (None, 9, 10));
}

#[test]
fn letters_to_a_hundred_users_at_once_and_then_ten_a_minute() {
    let paces = Paces::default();
    let step = |number: u32, second| paces.step(who("10.0.0.1", &format!("{number}@x.test")), at(second));
    for number in 0..100 {
        assert_eq!(step(number, 0).retry_after, None);
    }
    let pace = step(100, 0);
    assert_eq!((pace.retry_after, pace.limit, pace.remaining), (Some(Duration::from_secs(6)), 100, 0));
    assert_eq!(pace.reset, at(600));
    assert_eq!(step(100, 5).retry_after, Some(Duration::from_secs(1)));
    assert_eq!(step(100, 6).remaining, 9, "what was refused does not count for the user");
    assert_eq!(step(101, 6).retry_after, Some(Duration::from_secs(6)));
    assert_eq!(paces.step(who("10.0.0.2", "ann@x.test"), at(6)).retry_after, None);
    let allowed = (0..100).filter(|number| step(*number, 66).retry_after.is_none());
    assert_eq!(allowed.count(), 10);
}
