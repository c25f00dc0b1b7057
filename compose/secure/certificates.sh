#!/usr/bin/env bash
# Make a CA and a certificate for each node, with Java's keytool: nothing else is in the image. Does nothing the second time.
set -euo pipefail
umask 077
folder="${SECRETS_FOLDER:-/etc/kafka/secrets}"
cd "$folder"
if [ -e done ]; then
    echo "the certificates are there"
    exit 0
fi
rm -f -- *.p12 *.pem *.csr *.properties password

head -c 24 /dev/urandom | base64 | tr -d '+/=\n' > password
# A password in a file, not in the arguments that every process may read.
# Small programs: starting them is most of the work.
tool() { keytool -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC -storepass:file password "$@" 2>/dev/null; }

tool -genkeypair -alias ca -dname "CN=sensorstream lab CA" -keyalg EC -groupname secp256r1 -validity 3650 \
    -ext bc:c=ca:true -ext ku:c=keyCertSign,cRLSign -storetype PKCS12 -keystore ca.p12
tool -exportcert -rfc -alias ca -keystore ca.p12 > ca.pem

for node in ${NODES:-broker-1 broker-2 broker-3}; do
    tool -genkeypair -alias "$node" -dname "CN=$node" -keyalg EC -groupname secp256r1 -validity 825 \
        -storetype PKCS12 -keystore "$node.p12"
    tool -certreq -alias "$node" -keystore "$node.p12" > "$node.csr"
    tool -gencert -rfc -alias ca -keystore ca.p12 -infile "$node.csr" -validity 825 \
        -ext "san=dns:$node,dns:localhost,ip:127.0.0.1" -ext eku=serverAuth,clientAuth > "$node.pem"
    tool -importcert -noprompt -alias ca -file ca.pem -keystore "$node.p12"
    tool -importcert -noprompt -alias "$node" -file "$node.pem" -keystore "$node.p12"
    # What a program on this node needs to speak to the others: the health check does.
    cat > "$node.properties" <<PROPERTIES
security.protocol=SSL
ssl.truststore.type=PEM
ssl.truststore.location=$folder/ca.pem
ssl.keystore.type=PKCS12
ssl.keystore.location=$folder/$node.p12
ssl.keystore.password=$(cat password)
PROPERTIES
    rm "$node.csr" "$node.pem"
done
rm ca.p12  # nobody signs anything any more
touch done
echo "made a CA and a certificate for each node"
