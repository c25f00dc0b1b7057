#!/usr/bin/env bash
# Start a node of the secured cluster: KAFKA_* variables to server.properties, as the image does it (_ is a dot, __ an
# underscore, ___ a dash); on the first start, format with the two users. They must be there before anybody can log in.
set -euo pipefail
umask 077
kafka="${KAFKA_HOME:-/opt/kafka}"
secrets="${SECRETS_FOLDER:-/etc/kafka/secrets}"
properties="$(mktemp)"

while IFS= read -r -d '' entry; do
    name="${entry%%=*}"
    case "$name" in
        KAFKA_HOME | KAFKA_HEAP_OPTS | KAFKA_OPTS | KAFKA_*_OPTS) continue ;;
        KAFKA_*) ;;
        *) continue ;;
    esac
    key="${name#KAFKA_}"
    key="${key//___/-}"
    key="${key//__/%}"
    key="${key//_/.}"
    key="${key//%/_}"
    printf '%s=%s\n' "${key,,}" "${entry#*=}" >> "$properties"
done < <(env -0)
printf 'ssl.keystore.password=%s\n' "$(cat "$secrets/password")" >> "$properties"

"$kafka/bin/kafka-storage.sh" format --ignore-formatted --cluster-id "$CLUSTER_ID" --config "$properties" \
    --add-scram "SCRAM-SHA-512=[name=admin,password=$ADMIN_PASSWORD]" \
    --add-scram "SCRAM-SHA-512=[name=student,password=$STUDENT_PASSWORD]"
unset ADMIN_PASSWORD STUDENT_PASSWORD
exec "$kafka/bin/kafka-server-start.sh" "$properties"
