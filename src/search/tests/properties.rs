//! What holds for all queries.

use proptest::prelude::*;

use super::super::field::{Field, Root};
use super::super::metadata;
use super::super::node::{Leaf, Node};
use super::super::value::{Bound, Pattern, Range, Term, Test, Value};
use super::*;

/// What a query means, by the shortest way there is: every value in a list, as texts.
fn naive(node: &Node, user: &User) -> bool {
    match node {
        Node::All(nodes) => !nodes.iter().any(|node| !naive(node, user)),
        Node::Any(nodes) => !nodes.iter().all(|node| !naive(node, user)),
        Node::Not(node) => !naive(node, user),
        Node::Leaf(leaf) => {
            let Leaf { field, test } = &**leaf;
            let shown = serde_json::json!({
                "email": user.email, "username": user.username, "email_verified": user.email_verified,
                "app_metadata": user.app_metadata.as_deref().map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap()),
            });
            let name = field.name();
            let pointer = format!("/{}", name.replace('.', "/"));
            let found = shown.pointer(&pointer).cloned().unwrap_or_default();
            let values = match found {
                serde_json::Value::Array(items) => items,
                value => vec![value],
            };
            values.iter().filter(|value| !value.is_null()).any(|value| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                match test {
                    Test::Exists => true,
                    Test::Is(term) => term.text == text,
                    Test::Like(pattern) => {
                        let [first, last] = &pattern.pieces[..] else { unreachable!("two are made") };
                        text.len() >= first.len() + last.len()
                            && text.starts_with(first.as_str())
                            && text.ends_with(last.as_str())
                    }
                    Test::Within(Range { low, high }) => {
                        value.is_string()
                            && low.as_ref().is_none_or(|low| {
                                low.term.text < text || (low.is_inside && low.term.text == text)
                            })
                            && high.as_ref().is_none_or(|high| {
                                text < high.term.text || (high.is_inside && high.term.text == text)
                            })
                    }
                }
            })
        }
    }
}

/// Short texts of few letters, so that they meet.
fn text() -> impl Strategy<Value = String> + Clone {
    "[ab]{1,3}"
}

fn any_test(text: impl Strategy<Value = String> + Clone + 'static) -> impl Strategy<Value = Test> {
    let bound = proptest::option::of(
        (text.clone(), any::<bool>())
            .prop_map(|(text, is_inside)| Bound { term: Term::new(text), is_inside }),
    );
    prop_oneof![
        Just(Test::Exists),
        text.clone().prop_map(|text| Test::Is(Term::new(text))),
        (text.clone(), text).prop_map(|(first, last)| Test::Like(Pattern::new(vec![first, last]))),
        (bound.clone(), bound).prop_filter_map("open ranges are another test", |(low, high)| {
            (low.is_some() || high.is_some()).then_some(Test::Within(Range { low, high }))
        }),
    ]
}

fn tree(leaf: impl Strategy<Value = Node> + 'static) -> impl Strategy<Value = Node> {
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Node::all),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Node::any),
            inner.prop_map(Node::not),
        ]
    })
}

proptest! {
    #[test]
    fn parsing_anything_is_an_answer(text in "\\PC{0,60}") {
        let _ = Query::parse(&text);
    }

    #[test]
    fn what_looks_like_a_query_parses_to_what_it_prints(parts in proptest::collection::vec(
        proptest::sample::select(vec![
            "a", "name", ":", "\"", "x y", "(", ")", "[", "]", "{", "}", " ", " ", " AND ", " OR ", "NOT ", "TO ", "*", "-", "+", "!",
            "\\", "_exists_", "app_metadata.", "created_at:", "2018-01-01", ">", "=", "12", "é", "&&", "||", "~", "^", "/", ".",
        ]), 0..30)) {
        let text = parts.concat();
        if let Ok(query) = Query::parse(&text) {
            let printed = query.to_string();
            prop_assert_eq!(Query::parse(&printed), Ok(query), "{} printed as {}", text, printed);
        }
    }

    #[test]
    fn every_tree_prints_to_what_parses_to_it(node in tree({
        let field = prop_oneof!["\\PC{1,8}", Just("name".to_owned()), "app_metadata\\.[a-z .:]{1,5}"].prop_filter_map("a field", |name| {
            let field = Field::parse(&name);
            (name != "_exists_" && !matches!(&field, Field::Root(root) if *root != Root::Name)).then_some(field)
        });
        (field, any_test("\\PC{3,8}")).prop_map(|(field, test)| Node::leaf(field, test))
    })) {
        let query = Query(node);
        let printed = query.to_string();
        prop_assert_eq!(Query::parse(&printed), Ok(query), "{}", printed);
    }

    #[test]
    fn matching_agrees_with_a_naive_evaluation(
        node in tree((proptest::sample::select(vec!["email", "username", "app_metadata.a", "app_metadata.b", "user_metadata.a", "x"]), any_test(text()))
            .prop_map(|(name, test)| Node::leaf(Field::parse(name), test))),
        email in text(), username in proptest::option::of(text()), one in text(), two in text(), flag in any::<bool>(),
    ) {
        let app_metadata = Some(serde_json::json!({ "a": [one, two, null], "b": flag }).to_string());
        let user = User { username, app_metadata, ..user(&email) };
        let connection = connection("a");
        let query = Query(node);
        let is_one = query.matches(&user.as_ref(), &connection);
        prop_assert_eq!(is_one, naive(&query.0, &user), "{}", query);
        if let (true, Some(keys)) = (is_one, query.keys()) {
            prop_assert!(keys.iter().any(|key| match key {
                UserKey::Email(email) => *email == user.email,
                UserKey::Username(name) => Some(name) == user.username.as_ref(),
                UserKey::Id(id) => *id == user.id,
            }), "{}", query);
        }
    }

    #[test]
    fn looking_into_any_text_is_an_answer(text in "\\PC{0,40}|[\\[\\]{}\":,a1tn]{0,30}", path in "[a.]{0,4}") {
        metadata::any(&text, &path, &mut |value| matches!(value, Value::Text(_)));
    }
}
