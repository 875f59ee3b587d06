/** Where a release is published. */
const REPOSITORY = 'https://github.com/remit-dev/remit';
/** Of its image and chart. */
export const REGISTRY = 'ghcr.io/remit-dev';

/** The commands that sign, publish and verify a release, for people: a release is signed where the keys or the identity of the pipeline are. */
export const signingSteps = ({
  name,
  version,
}: {
  readonly name: string;
  readonly version: string;
}): readonly string[] => [
  'sign and publish, in the pipeline of the tag, whose identity cosign and npm take:',
  '  cosign sign-blob --yes --bundle SHA256SUMS.sigstore.json SHA256SUMS',
  `  npm publish --provenance --access public npm/${name}-${version}.tgz`,
  `  skopeo copy --all oci-archive:image/${name}-${version}-image.tar docker://${REGISTRY}/${name}:${version}`,
  `  cosign sign --yes ${REGISTRY}/${name}@$(crane digest ${REGISTRY}/${name}:${version})`,
  `  cosign attest --yes --type cyclonedx --predicate sbom.cdx.json ${REGISTRY}/${name}@$(crane digest ${REGISTRY}/${name}:${version})`,
  `  helm push chart/${name}-${version}.tgz oci://${REGISTRY}/charts`,
  'verify, as anybody:',
  '  sha256sum --check SHA256SUMS',
  `  cosign verify-blob --bundle SHA256SUMS.sigstore.json ${identity(version)} SHA256SUMS`,
  `  cosign verify ${identity(version)} ${REGISTRY}/${name}:${version}`,
  `  npm audit signatures`,
];

const identity = (version: string): string =>
  `--certificate-identity ${REPOSITORY}/.github/workflows/release.yml@refs/tags/v${version} --certificate-oidc-issuer https://token.actions.githubusercontent.com`;
