import { fieldsOf, itemsOf, stringOf } from './yaml-file.ts';
import type { PlacedNode, YamlFile } from './yaml-file.ts';

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
}

const DAY_MS = 86_400_000;
const MAX_OWNER_LENGTH = 200;

/** The exceptions in `staticSecrets` of a server or route; empty where absent. */
export function staticSecretExceptions(yaml: YamlFile, node: PlacedNode | undefined): readonly StaticSecretException[] {
  if (node === undefined) return [];
  const exceptions = fieldsOf(yaml, node, { what: '`staticSecrets`', required: ['exceptions'] }).get('exceptions');
  if (exceptions === undefined) return [];
  return itemsOf(yaml, exceptions, '`exceptions`').flatMap((item) => exceptionFrom(yaml, item) ?? []);
}

function exceptionFrom(yaml: YamlFile, node: PlacedNode): StaticSecretException | null {
  const what = 'an exception';
  const fields = fieldsOf(yaml, node, { what, required: ['owner', 'until'], optional: ['digest', 'header'] });
  const digest = stringOf(yaml, fields.get('digest'), {
    what: 'the digest',
    accepts: (value) => /^(?:hmac-)?sha-256:[A-Za-z0-9_-]{43}$/.test(value),
    rule: '`hmac-sha-256:` or `sha-256:` and 43 characters of base64url',
  });
  const header = stringOf(yaml, fields.get('header'), {
    what: 'the header',
    accepts: (value) => /^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(value),
    rule: 'the name of a header in lower case',
  });
  const owner = stringOf(yaml, fields.get('owner'), {
    what: 'the owner',
    accepts: (value) => value.length <= MAX_OWNER_LENGTH && /^[^\p{C}]+$/u.test(value),
    rule: `printable, 1 to ${MAX_OWNER_LENGTH} characters`,
  });
  const until = stringOf(yaml, fields.get('until'), {
    what: '`until`',
    accepts: (value) => dayMs(value) !== null,
    rule: 'a day, written `YYYY-MM-DD`',
  });
  if (!fields.has('digest') && !fields.has('header')) {
    yaml.report(node.offset, `${what} names the \`digest\` of a secret, or the \`header\` it stands in`);
  }
  const untilMs = until === null ? null : dayMs(until.value);
  if (owner === null || untilMs === null) return null;
  return {
    digest: digest?.value ?? null,
    header: header?.value ?? null,
    owner: owner.value,
    untilMs: untilMs + DAY_MS,
  };
}

/** The midnight (UTC) at which a day begins; `null` for an invalid date. */
function dayMs(text: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return null;
  const ms = Date.parse(`${text}T00:00:00Z`);
  return Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== text ? null : ms;
}
