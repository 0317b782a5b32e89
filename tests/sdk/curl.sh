#!/usr/bin/env bash
# The curl commands of Auth0's documentation, option by option, against a server: only the domain, the ids and the
# tokens are put in. The line that `intake serve --ephemeral --tls` prints comes on standard input; CURL_CA_BUNDLE
# names its authority. Each command prints a line, and the first that fails ends the script.
set -euo pipefail
line=$(cat)
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT

# The first text of this name in some JSON.
text() { { grep -o "\"$1\": *\"[^\"]*\"" <<<"$2" || true; } | sed -n '1s/.*: *"\(.*\)"$/\1/p'; }
yourDomain=$(text domain "$line")
yourClientId=$(text client_id "$line")
yourClientSecret=$(text client_secret "$line")
CONNECTION_ID=$(text connection_id "$line")
connection=$(text connection "$line")

# Runs a curl command, which must be answered with this status; `answer` is the body.
expect() {
  local title=$1 status=$2 got
  shift 2
  got=$("$@" --silent --show-error --output answer --write-out '%{http_code}') || { echo "FAILED  $title: curl ends with $?"; exit 1; }
  answer=$(cat answer 2>/dev/null || true)
  rm -f answer
  if [ "$got" != "$status" ]; then
    echo "FAILED  $title: $got, not $status: $answer"
    exit 1
  fi
}
# The answer must contain this.
with() { [[ $answer == *"$1"* ]] || { echo "FAILED  $title: no $1 in $answer"; exit 1; }; }
ok() { echo "ok      curl: $title"; }
# Asks for a job until it has ended.
wait_for() {
  local status=pending
  for ((tries = 0; tries < 600; tries++)); do
    expect "$title" 200 curl --request GET \
      --url "https://$yourDomain/api/v2/jobs/$1" \
      --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN" \
      --header 'content-type: application/json'
    status=$(text status "$answer")
    [ "$status" = pending ] || return 0
    sleep 0.1
  done
  echo "FAILED  $title: the job does not end"
  exit 1
}

title='a token by form'
expect "$title" 200 curl --request POST \
  --url "https://$yourDomain/oauth/token" \
  --header 'content-type: application/x-www-form-urlencoded' \
  --data grant_type=client_credentials \
  --data "client_id=$yourClientId" \
  --data "client_secret=$yourClientSecret" \
  --data "audience=https://$yourDomain/api/v2/"
with '"token_type":"Bearer"'
ok

title='a token by JSON'
expect "$title" 200 curl --request POST \
  --url "https://$yourDomain/oauth/token" \
  --header 'content-type: application/json' \
  --data "{\"client_id\": \"$yourClientId\", \"client_secret\": \"$yourClientSecret\", \"audience\": \"https://$yourDomain/api/v2/\", \"grant_type\": \"client_credentials\"}"
MGMT_API_ACCESS_TOKEN=$(text access_token "$answer")
ok

cat >USERS_IMPORT_FILE.json <<'JSON'
[
  { "email": "ann@example.test", "email_verified": true },
  { "email": "no address", "email_verified": true }
]
JSON

title='an import'
expect "$title" 202 curl --request POST \
  --url "https://$yourDomain/api/v2/jobs/users-imports" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN" \
  --form users=@USERS_IMPORT_FILE.json \
  --form connection_id="$CONNECTION_ID" \
  --form external_id=EXTERNAL_ID
with '"external_id":"EXTERNAL_ID"'
JOB_ID=$(text id "$answer")
ok

title='the status of a job'
wait_for "$JOB_ID"
with '"summary":{"failed":1,"updated":0,"inserted":1,"total":2}'
ok

title='the errors of a job'
expect "$title" 200 curl --request GET \
  --url "https://$yourDomain/api/v2/jobs/$JOB_ID/errors" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN" \
  --header 'content-type: application/json'
with '"email":"no address"'
ok

title='an import as documented before 2020: with a content type, upsert, and a type of the part'
expect "$title" 202 curl --request POST \
  --url "https://$yourDomain/api/v2/jobs/users-imports" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN" \
  --header 'content-type: multipart/form-data' \
  --form 'users=@USERS_IMPORT_FILE.json;type=text/json' \
  --form connection_id="$CONNECTION_ID" \
  --form upsert=true \
  --form send_completion_email=false
wait_for "$(text id "$answer")"
with '"summary":{"failed":1,"updated":1,"inserted":0,"total":2}'
ok

title='a file of broken JSON'
echo '[{]' >BROKEN.json
expect "$title" 202 curl --request POST \
  --url "https://$yourDomain/api/v2/jobs/users-imports" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN" \
  --form users=@BROKEN.json \
  --form connection_id="$CONNECTION_ID"
wait_for "$(text id "$answer")"
with '"status":"failed"'
ok

title='the connections'
expect "$title" 200 curl --request GET \
  --url "https://$yourDomain/api/v2/connections" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN"
with "\"id\":\"$CONNECTION_ID\""
ok

title='a user by e-mail address'
expect "$title" 200 curl --request GET \
  --url "https://$yourDomain/api/v2/users-by-email?email=ann%40example.test" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN"
USER_ID=$(grep -o 'auth0|[^"]*' <<<"$answer")
ok

title='users by a query'
expect "$title" 200 curl --request GET \
  --url "https://$yourDomain/api/v2/users?q=email%3A%22ann%40example.test%22&search_engine=v3" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN"
with '"email":"ann@example.test"'
ok

title='an export'
expect "$title" 200 curl --request POST \
  --url "https://$yourDomain/api/v2/jobs/users-exports" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN" \
  --header 'content-type: application/json' \
  --data "{\"connection_id\": \"$CONNECTION_ID\", \"format\": \"csv\", \"limit\": 5, \"fields\": [{\"name\": \"email\"}, { \"name\": \"identities[0].connection\", \"export_as\": \"provider\" }]}"
wait_for "$(text id "$answer")"
ok

title='the file of an export'
curl --fail --silent --show-error "$(text location "$answer")" | gunzip >export.csv
grep --quiet provider export.csv && grep --quiet 'ann@example.test' export.csv && grep --quiet "$connection" export.csv ||
  { echo "FAILED  $title: $(cat export.csv)"; exit 1; }
ok

title='a password change by the user'
expect "$title" 200 curl --request POST \
  --url "https://$yourDomain/dbconnections/change_password" \
  --header 'content-type: application/json' \
  --data "{\"client_id\": \"$yourClientId\",\"email\": \"ann@example.test\",\"connection\": \"$connection\"}"
with "We've just sent you an email to reset your password."
ok

title='a password change ticket'
expect "$title" 201 curl --request POST \
  --url "https://$yourDomain/api/v2/tickets/password-change" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN" \
  --header 'content-type: application/json' \
  --data "{\"user_id\": \"$USER_ID\"}"
with '/u/reset-password?ticket='
ok

title='a verification e-mail'
expect "$title" 201 curl --request POST \
  --url "https://$yourDomain/api/v2/jobs/verification-email" \
  --header "authorization: Bearer $MGMT_API_ACCESS_TOKEN" \
  --header 'content-type: application/json' \
  --data "{\"user_id\": \"$USER_ID\"}"
with '"type":"verification_email"'
ok
