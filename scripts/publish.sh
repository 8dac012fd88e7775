#!/bin/sh
# Publishes the image: publish.sh [OPTION]... IMAGE ARCHIVE
#
# ARCHIVE is what `npm run image -- --tag IMAGE` wrote, with the bills of materials beside it; IMAGE names registry,
# repository and tag, like registry.example/myorg/pause-ts:1.0. All platforms are pushed unchanged, each with its bill
# of materials attached, and signed, and only then tagged: nobody can pull an unsigned image by its tag. An existing tag
# never moves.
#
#   --key FILE      sign with this cosign private key (its password: COSIGN_PASSWORD), without a transparency log, for
#                   podman, skopeo and CRI-O too;
#                   by default cosign signs with the identity of the workflow that runs it, or asks for one in a browser
#   --provenance    also attest which run of which GitHub workflow this is, as SLSA 1.0 specifies
#   --plain-http    the registry speaks HTTP
#
# Needs oras 1.3 and cosign 3, skopeo for --key, and jq for --provenance; all use the credentials of
# `oras login REGISTRY`.
# The last line is IMAGE with its digest. Status: 0 published, 1 not published, 2 called wrongly.
set -eu
case ${1:-} in
  -h | --help)
    # The comment above.
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac

# refuse MESSAGE
refuse() {
  echo "error: $1" >&2
  exit 2
}

key='' provenance='' http=''
while [ $# -gt 0 ]; do
  case $1 in
    --key)
      key=${2:-}
      [ -n "$key" ] || refuse "--key takes a file"
      shift
      ;;
    --provenance) provenance=yes ;;
    --plain-http) http=yes ;;
    -*) refuse "unknown option $1" ;;
    *) break ;;
  esac
  shift
done
if [ $# -ne 2 ]; then
  refuse "called with $# arguments: publish.sh [--key FILE] [--provenance] [--plain-http] IMAGE ARCHIVE"
fi
image=$1
archive=$2

# A name without a registry, or without a tag, means different things to different tools. The rest is oras's grammar.
unnamed="\"$image\" is not a registry, a repository and a tag, like registry.example/myorg/pause-ts:1.0"
case ${image%%/*}/${image##*/} in
  *@*) refuse "$unnamed" ;;
  *.*/*:?* | *:*/*:?* | localhost/*:?*) ;;
  *) refuse "$unnamed" ;;
esac
repository=${image%:*}
tag=${image##*:}

[ -r "$archive" ] || refuse "there is no archive $archive"
for tool in oras cosign ${key:+skopeo} ${provenance:+jq}; do
  command -v "$tool" >/dev/null 2>&1 || refuse "$tool is not installed"
done

# index TEMPLATE: what the archive's index says
index() {
  oras manifest fetch --oci-layout --format "go-template=$1" "$archive:$tag" 2>/dev/null
}
digest=$(index '{{.digest}}') || refuse "$archive has no image with the tag $tag: npm run image -- --tag $image"
platforms=$(index '{{range .content.manifests}}{{.platform.os}}-{{.platform.architecture}}@{{.digest}} {{end}}')
[ -n "$platforms" ] || refuse "$archive has no index of platforms"
created=$(index '{{index .content.annotations "org.opencontainers.image.created"}}')
bills=${archive%.tar}
bills=${bills%.oci}
for platform in $platforms; do
  bill=$bills.${platform%@*}.cdx.json
  grep -qsF "${platform#*@}" "$bill" || refuse "$bill is not the bill of materials of the archive's ${platform%@*}"
done
if [ -n "$key" ]; then
  [ -r "$key" ] || refuse "there is no key $key"
  [ -n "${COSIGN_PASSWORD+set}" ] || refuse "COSIGN_PASSWORD is not set: it is the password of $key, and may be empty"
  cosign public-key --key "$key" >/dev/null 2>&1 ||
    refuse "$key is not a private key of cosign's, or COSIGN_PASSWORD is not its password"
fi
for variable in ${provenance:+SERVER_URL REPOSITORY REPOSITORY_ID REPOSITORY_OWNER_ID REF SHA WORKFLOW_REF EVENT_NAME \
  RUN_ID RUN_ATTEMPT}; do
  eval "[ -n \"\${GITHUB_$variable:-}\" ]" || refuse "--provenance takes a GitHub workflow: GITHUB_$variable is not set"
done

# GitHub's account of this run, as the predicate of https://slsa.dev/provenance/v1.
predicate() {
  jq -n 'env | "\(.GITHUB_SERVER_URL)/\(.GITHUB_REPOSITORY)" as $repository | {
    buildDefinition: {
      buildType: "https://actions.github.io/buildtypes/workflow/v1",
      externalParameters: { workflow: {
        ref: .GITHUB_REF,
        repository: $repository,
        path: (.GITHUB_WORKFLOW_REF | ltrimstr("\(env.GITHUB_REPOSITORY)/") | split("@")[0])
      } },
      internalParameters: { github: {
        event_name: .GITHUB_EVENT_NAME,
        repository_id: .GITHUB_REPOSITORY_ID,
        repository_owner_id: .GITHUB_REPOSITORY_OWNER_ID
      } },
      resolvedDependencies: [{ uri: "git+\($repository)@\(.GITHUB_REF)", digest: { gitCommit: .GITHUB_SHA } }]
    },
    runDetails: {
      builder: { id: "\(.GITHUB_SERVER_URL)/\(.GITHUB_WORKFLOW_REF)" },
      metadata: { invocationId: "\($repository)/actions/runs/\(.GITHUB_RUN_ID)/attempts/\(.GITHUB_RUN_ATTEMPT)" }
    }
  }'
}

[ -z "$provenance" ] || provenance=$(predicate)

# The first request to the registry.
present=$(oras resolve ${http:+--plain-http} "$image" 2>&1) || case $present in
  *"invalid reference"*) refuse "$unnamed" ;;
  *) present= ;;
esac
if [ -n "$present" ] && [ "$present" != "$digest" ]; then
  echo "error: $image already exists and is another image: $present" >&2
  exit 1
fi

# With a key, cosign is given no service to write to or to trust, so it looks for none on the network.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -n "$key" ]; then
  cosign signing-config create --out "$work/services"
  cosign trusted-root create --out "$work/trusted"
fi

# attach PLATFORM: attaches its bill of materials, the same whenever it is done, and prints the name to sign it by
attach() (
  cd "$(dirname "$bills")" &&
    oras attach ${http:+--plain-http} --format 'go-template={{.reference}}' \
      --artifact-type application/vnd.cyclonedx+json --annotation "org.opencontainers.image.created=$created" \
      "$repository@${1#*@}" "$(basename "$bills").${1%@*}.cdx.json:application/vnd.cyclonedx+json"
)

# sign COMMAND OPTION... NAME: cosign with what --key and --plain-http say
sign() {
  cosign "$@" --yes ${http:+--allow-http-registry} \
    ${key:+--key "$key" --signing-config "$work/services" --trusted-root "$work/trusted"}
}

# Signs the index and its images in the older format, the only one that podman, skopeo, CRI-O and cosign 2 read. Their
# policies can name a key, but no workflow.
sign_by_skopeo() {
  mkdir "$work/registries"
  echo '{"default-docker": {"use-sigstore-attachments": true}}' >"$work/registries/all.yaml"
  printf %s "$COSIGN_PASSWORD" >"$work/password"
  skopeo --insecure-policy --registries.d "$work/registries" copy --all --preserve-digests \
    --sign-by-sigstore-private-key "$key" --sign-passphrase-file "$work/password" --sign-identity "$image" \
    ${http:+--src-tls-verify=false --dest-tls-verify=false} "docker://$repository@$digest" "docker://$repository@$digest"
}

# Each platform's image and bill of materials is signed too, so that each can be verified alone.
{
  oras cp --from-oci-layout ${http:+--to-plain-http} "$archive:$tag" "$repository" &&
    sign sign --recursive "$repository@$digest" &&
    { [ -z "$key" ] || sign_by_skopeo; } &&
    for platform in $platforms; do
      sign sign "$(attach "$platform")" || exit 1
    done &&
    { [ -z "$provenance" ] ||
      echo "$provenance" | sign attest --type slsaprovenance1 --predicate - "$repository@$digest"; } &&
    oras tag ${http:+--plain-http} "$repository@$digest" "$tag"
} >&2 || exit 1
echo "$image@$digest"
