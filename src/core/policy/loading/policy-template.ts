import type { TextPlace } from '../../runtime/text-place.ts';
import type { Annotations } from './annotations.ts';
import { cedarString, cedarTokens } from '../cedar-text.ts';
import type { CedarToken } from '../cedar-text.ts';
import type { EntityUid } from '../entities.ts';

/** An open slot in a template's scope. */
export type Slot = '?principal' | '?resource';

/** A template, which is not a policy until it is linked. */
export interface PolicyTemplate extends Annotations, TextPlace {
  /** As written, by name. */
  readonly given: ReadonlyMap<string, string | null>;
  readonly effect: 'permit' | 'forbid';
  readonly text: string;
  readonly file: string;
  /** Its start in the file, in UTF-16 code units. */
  readonly offset: number;
  /** In Cedar's JSON form. */
  readonly json: unknown;
  readonly slots: ReadonlySet<Slot>;
}

/** A range of a linked policy that differs from its template. */
export interface Replaced {
  /** Its start in the text of the linked policy, in UTF-16 code units. */
  readonly at: number;
  readonly length: number;
  /** Length of the range in the template. */
  readonly writtenLength: number;
}

/** The slots in a text. */
export const slotsIn = (tokens: readonly CedarToken[]): ReadonlySet<Slot> =>
  new Set(tokens.flatMap((_token, at) => slotAt(tokens, at) ?? []));

function slotAt(tokens: readonly CedarToken[], at: number): Slot | null {
  const [sign, name] = [tokens[at], tokens[at + 1]];
  if (sign?.text !== '?' || name?.start !== sign.end) return null;
  return name.text === 'principal' || name.text === 'resource' ? `?${name.text}` : null;
}

/**
 * The text of a template with a link's id, and its values in the slots: the static policy that Cedar's linking produces. A slot
 * without a value stays as it is.
 */
export function linkedText(
  template: Pick<PolicyTemplate, 'text'>,
  id: string,
  values: ReadonlyMap<Slot, EntityUid>,
): { readonly text: string; readonly replaced: readonly Replaced[] } {
  const tokens = cedarTokens(template.text);
  const replaced: Replaced[] = [];
  let text = '';
  let end = 0;
  const put = (from: CedarToken, to: CedarToken, by: string): void => {
    text += template.text.slice(end, from.start);
    replaced.push({ at: text.length, length: by.length, writtenLength: to.end - from.start });
    text += by;
    end = to.end;
  };
  for (const [at, token] of tokens.entries()) {
    const slot = slotAt(tokens, at);
    const [value, next, isId] = [slot === null ? undefined : values.get(slot), tokens[at + 1], isIdAt(tokens, at)];
    if (value !== undefined && next !== undefined) put(token, next, `${value.type}::${cedarString(value.id)}`);
    if (isId) put(token, token, cedarString(id));
  }
  return { text: text + template.text.slice(end), replaced };
}

/** Whether a token is the value of `@id("…")`. */
const isIdAt = (tokens: readonly CedarToken[], at: number): boolean =>
  ['@', 'id', '('].every((text, index) => tokens[at - 3 + index]?.text === text);

/** Cedar's JSON form of a linked policy: that of its template, with the link's id, and its values in the slots. */
export function linkedJson(json: unknown, id: string, values: ReadonlyMap<string, EntityUid>): unknown {
  if (typeof json !== 'object' || json === null) return json;
  const { annotations, ...policy } = json as Readonly<Record<string, unknown>>;
  const scope = ['principal', 'resource'].map((name) => [name, filled(policy[name], values)] as const);
  return { ...policy, ...Object.fromEntries(scope), annotations: { ...Object(annotations), id } };
}

function filled(constraint: unknown, values: ReadonlyMap<string, EntityUid>): unknown {
  if (typeof constraint !== 'object' || constraint === null) return constraint;
  const { slot, in: within, ...rest } = constraint as Readonly<Record<string, unknown>>;
  const entity = typeof slot === 'string' ? values.get(slot) : undefined;
  return {
    ...rest,
    ...(slot === undefined ? {} : entity === undefined ? { slot } : { entity }),
    ...(within === undefined ? {} : { in: filled(within, values) }),
  };
}

/** Converts an offset in a linked policy to an offset in its template; an offset in a slot's value becomes that of the slot. */
export function offsetInTemplate(replaced: readonly Replaced[], offset: number): number {
  let shift = 0;
  for (const { at, length, writtenLength } of replaced) {
    if (offset < at) break;
    if (offset < at + length) return at - shift;
    shift += length - writtenLength;
  }
  return offset - shift;
}
