import { nameMatcher } from './name-pattern.ts';
import { HARMLESS_NAMES, SECRET_NAMES } from './secret-names.ts';
import { isSecretValue, withoutUser } from './secret-value.ts';

/** Variables that a run sets for its command; those of an outer run are never passed on. */
export const RUN_VARIABLES: readonly string[] = [
  'REMIT_TASK_ID',
  'REMIT_TOKEN',
  'REMIT_TOKEN_URL',
  'REMIT_TOKEN_URL_AUTH',
  'REMIT_TOKEN_FILE',
  'REMIT_MCP_SERVERS',
  'REMIT_SVID',
  'REMIT_BUNDLE',
  'REMIT_TASKS',
  'REMIT_TASKS_SOCKET',
];

/** Those of its forwarders. */
const FORWARD_VARIABLE = /^REMIT_FORWARD_/;

/** The operator's exceptions to the defaults of a run. Patterns of names, with `*`. */
export interface ScrubChoice {
  /** Whether secrets are removed at all; variables of `take` always are. */
  readonly scrub: boolean;
  /** Passed on, whatever it looks like. */
  readonly keep: readonly string[];
  /** Removed, whatever it looks like, and whatever `keep` says; in any letter case. */
  readonly take: readonly string[];
}

/** An environment that is safe to pass to a command. The lists have names alone, sorted; never a value. */
export interface Scrubbed {
  readonly environment: Readonly<Record<string, string>>;
  /** Secrets that were removed. */
  readonly removed: readonly string[];
  /** Addresses of proxies that are passed on without user and password. */
  readonly shortened: readonly string[];
  /** Secrets that are passed on, since `keep` has them. */
  readonly kept: readonly string[];
}

/**
 * Removes secrets, by name and by the shape of the value, and the variables of an outer run. A proxy stays, so that no command bypasses it,
 * but without its password.
 */
export function scrubbed(
  environment: Readonly<Record<string, string | undefined>>,
  { scrub, keep, take }: ScrubChoice,
): Scrubbed {
  const isKept = nameMatcher(keep);
  const isTaken = nameMatcher(take.map((pattern) => pattern.toUpperCase()));
  const passed: [string, string][] = [];
  const removed: string[] = [];
  const shortened: string[] = [];
  const kept: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || RUN_VARIABLES.includes(name) || FORWARD_VARIABLE.test(name)) continue;
    const fate = fateOf(name, value);
    if (isTaken(name.toUpperCase())) removed.push(name);
    else if (!scrub || fate === 'passed') passed.push([name, value]);
    else if (isKept(name)) {
      kept.push(name);
      passed.push([name, value]);
    } else if (fate === 'shortened') {
      shortened.push(name);
      passed.push([name, withoutUser(value)]);
    } else removed.push(name);
  }
  return {
    environment: Object.fromEntries(passed),
    removed: removed.toSorted(),
    shortened: shortened.toSorted(),
    kept: kept.toSorted(),
  };
}

const isSecretName = nameMatcher(SECRET_NAMES);
const isHarmlessName = nameMatcher(HARMLESS_NAMES);
const isProxy = nameMatcher(['*_PROXY', '*_PROXY_URL']);

/** How a variable is treated by default. A harmless name does not excuse a value that has the shape of a secret. */
function fateOf(name: string, value: string): 'passed' | 'removed' | 'shortened' {
  const upper = name.toUpperCase();
  if (isProxy(upper)) return withoutUser(value) === value ? 'passed' : 'shortened';
  if (isSecretName(upper) && !isHarmlessName(upper)) return 'removed';
  return isSecretValue(value) ? 'removed' : 'passed';
}
