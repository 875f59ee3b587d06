/**
 * Why a sidecar and an authority of these versions may not work together; `null` if they may: within one major version, at most one minor
 * version apart. A build that does not know its version is accepted.
 *
 * @param own such as `0.2.0+84bff23a9c01`, or `unknown`
 */
export function versionGap(own: string, sidecar: string): string | null {
  const [ownParts, parts] = [VERSION.exec(own), VERSION.exec(sidecar)];
  if (ownParts === null || parts === null) return null;
  const [, major, minor] = ownParts;
  const [, otherMajor, otherMinor] = parts;
  if (major === otherMajor && Math.abs(Number(minor) - Number(otherMinor)) <= 1) return null;
  return `the authority has version ${ownParts[0]} and the sidecar ${parts[0]}: at most one minor version may lie between them`;
}

const VERSION = /^(\d{1,6})\.(\d{1,6})\.\d{1,6}/;
