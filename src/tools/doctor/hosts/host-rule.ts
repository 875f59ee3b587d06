import { levelOf } from '../codes.ts';
import type { Code, Level } from '../codes.ts';
import type { Finding } from '../finding.ts';
import { at, membersAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';

/** A rule about one field of an object of a host: which values are bad, and the finding. */
export interface HostRule {
  readonly kind: string;
  /** The end of its group, such as `istio.io`; empty for any. */
  readonly group: string;
  /** Names of fields with dots between them; `[]` behind a list, `{}` behind a map: `spec.http[].mirror`. */
  readonly path: string;
  /** Whether a value is bad. Default: any that is not empty. */
  readonly isBad?: (value: unknown) => boolean;
  readonly code: Code;
  /** Default: the level of the code. */
  readonly level?: Level;
  /** What follows from it, after the field. */
  readonly message: string;
  readonly fix: string;
}

/** The values at a path of a rule. */
function valuesAt(value: unknown, path: string): readonly unknown[] {
  const [step = '', ...rest] = path.split('.');
  const name = step.replace(/(?:\[\]|\{\})$/, '');
  const found = at(value, name);
  const here = step.endsWith('[]')
    ? Array.isArray(found)
      ? (found as readonly unknown[])
      : []
    : step.endsWith('{}')
      ? membersAt(found).map(([, one]) => one)
      : [found];
  return rest.length === 0 ? here : here.flatMap((one) => valuesAt(one, rest.join('.')));
}

const isGiven = (value: unknown): boolean =>
  value !== undefined &&
  value !== null &&
  value !== false &&
  value !== '' &&
  !(Array.isArray(value) && value.length === 0);

/** What rules find in objects, once for each object and rule. */
export const ruleFindings = (rules: readonly HostRule[], objects: readonly HostObject[]): readonly Finding[] =>
  rules.flatMap(({ code, fix, group, isBad = isGiven, kind, level, message, path }) =>
    ofKind(objects, kind, group)
      .filter(({ value }) => valuesAt(value, path).some(isBad))
      .map((object) => ({
        code,
        where: placeOf(object),
        message: `\`${path.replace(/^spec\./, '')}\`: ${message}`,
        fix,
        level: level ?? levelOf(code),
      })),
  );
