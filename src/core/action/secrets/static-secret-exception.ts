import type { SourceFinding } from '../catalog/finding.ts';
import { DAY_MS, dayMs } from '../../runtime/day.ts';
import { textLike } from '../../runtime/fields.ts';
import { yamlFields, itemsOf, valueOf } from '../catalog/yaml-file.ts';
import type { PlacedNode, YamlFile } from '../catalog/yaml-file.ts';

/** A long-lived credential that may pass on a route until a day, with an owner who answers for it. */
export interface StaticSecretException {
  /**
   * Digest of the secret: as `remit secrets list` shows it (valid for one state file), or `sha-256:` and its base64url digest
   * (valid everywhere, but readers of the catalog can guess a weak password from it). `null` permits any secret.
   */
  readonly digest: string | null;
  /** The only header it may be in, lower case; `null` permits any place. */
  readonly header: string | null;
  readonly owner: string;
  /** When it ends, milliseconds since the Unix epoch: the midnight (UTC) after the given day. */
  readonly untilMs: number;
  /** Its place in the catalog. */
  readonly place: Pick<SourceFinding, 'file' | 'line' | 'column'>;
}

const MAX_OWNER_LENGTH = 200;

/** The exceptions in `staticSecrets` of a server or route; empty if absent. */
export function staticSecretExceptions(yaml: YamlFile, node: PlacedNode | undefined): readonly StaticSecretException[] {
  if (node === undefined) return [];
  const exceptions = yamlFields(yaml, node, { what: '`staticSecrets`', required: ['exceptions'] }).get('exceptions');
  if (exceptions === undefined) return [];
  return itemsOf(yaml, exceptions, '`exceptions`').flatMap((item) => exceptionFrom(yaml, item) ?? []);
}

function exceptionFrom(yaml: YamlFile, node: PlacedNode): StaticSecretException | null {
  const what = 'an exception';
  const fields = yamlFields(yaml, node, { what, required: ['owner', 'until'], optional: ['digest', 'header'] });
  const digest = valueOf(yaml, fields.get('digest'), { what: 'the digest', reader: digestText });
  const header = valueOf(yaml, fields.get('header'), { what: 'the header', reader: headerName });
  const owner = valueOf(yaml, fields.get('owner'), { what: 'the owner', reader: ownerText });
  const untilMs = valueOf(yaml, fields.get('until'), { what: '`until`', reader: dayMs });
  if (!fields.has('digest') && !fields.has('header')) {
    yaml.report(node.offset, `${what} names the \`digest\` of a secret, or the \`header\` that holds it`);
  }
  if (owner === null || untilMs === null) return null;
  const { file, line, column } = yaml.findingAt(node.offset, what);
  return { digest, header, owner, untilMs: untilMs + DAY_MS, place: { file, line, column } };
}

const digestText = textLike('`hmac-sha-256:` or `sha-256:` and 43 characters of base64url', (value) =>
  /^(?:hmac-)?sha-256:[A-Za-z0-9_-]{43}$/.test(value),
);
const headerName = textLike('the name of a header in lower case', (value) =>
  /^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(value),
);
const ownerText = textLike(`printable, 1 to ${MAX_OWNER_LENGTH} characters`, (value) => /^[^\p{C}]+$/u.test(value), {
  max: MAX_OWNER_LENGTH,
});
