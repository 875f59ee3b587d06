import { isHeaderName, MIRRORED } from '../../../core/action/catalog/catalog-arguments.ts';
import type { ArgumentType } from '../../../core/action/arguments/argument.ts';
import { pointerOf } from '../../../core/action/arguments/json-pointer.ts';
import type { Effort } from './effort.ts';
import type { Entry } from './entry.ts';
import { printableName } from './entry.ts';
import { argumentShape } from './json-schema.ts';
import type { Beyond, SchemaReader, WholeSchema } from './json-schema.ts';

const MAX_DEPTH = 8;
const MAX_ARGS = 64;
const MAX_PROPERTIES = 1000;
const MAX_NAME = 200;
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u;

/** Why the catalog denies, or reads differently, some calls that the document allows. */
export type ImportLimit = Beyond | 'null';

/** An argument with such a limit. */
export interface Limited {
  readonly limit: ImportLimit;
  /** Its name. */
  readonly label: string;
}

/** Arguments, with notes on what was not imported and what is limited. */
export interface FoundArguments {
  readonly args: ReadonlyMap<string, Entry>;
  readonly notes: readonly string[];
  readonly limited: readonly Limited[];
  /** Whether the schema allows nothing besides the arguments: each object has `additionalProperties: false`, and none is left out. */
  readonly isClosed: boolean;
}

/**
 * The arguments of an object schema: its properties, and those of nested objects by path (`order.total`, with the pointer
 * `/order/total`). Properties without a catalog type and recursive objects become notes. At most 64, from the first 1,000
 * properties.
 */
export function argumentsFromSchema(
  schema: unknown,
  read: SchemaReader,
  { effort, isOfTool = false }: { readonly effort: Effort; readonly isOfTool?: boolean },
): FoundArguments {
  const args = new Map<string, Entry>();
  const notes: string[] = [];
  const limited: Limited[] = [];
  const on: unknown[] = [];
  let left = MAX_PROPERTIES;
  let isClosed = true;
  const walk = (object: unknown, way: readonly string[], isRequired: boolean): void => {
    const whole = read(object);
    const { properties, required, origin } = whole;
    isClosed &&= isClosedObject(whole);
    if (way.length === 0 && whole.problem !== null) notes.push(`its schema ${whole.problem}`);
    on.push(origin);
    for (const [name, property] of properties) {
      if (left-- <= 0 || !effort.take(1)) {
        isClosed = false;
        break;
      }
      // A longer name is no valid argument name, however it goes on.
      const here = [...way, name.slice(0, MAX_NAME)];
      const label = here.join('.');
      const inner = read(property);
      const shape = argumentShape(inner, read);
      const isThere = isRequired && required.has(name) && !inner.isNullable;
      const problem = on.includes(inner.origin)
        ? 'contains itself'
        : 'problem' in shape
          ? shape.problem
          : placeProblem(label, { name, isFull: args.size === MAX_ARGS });
      if (problem !== null) notes.push(`\`${printableName(label)}\` ${problem}`);
      if (problem !== null || 'problem' in shape) continue;
      const { type, beyond, maxBytes } = shape;
      if (type === 'object') {
        if (here.length < MAX_DEPTH) walk(property, here, isThere);
        else notes.push(`\`${printableName(label)}\` is an object ${MAX_DEPTH} deep`);
        continue;
      }
      args.set(label, {
        ...entryOf(here, { type, isThere, maxBytes }),
        ...(isOfTool ? headerOf(inner.keywords['x-mcp-header'], type, notes) : {}),
      });
      if (inner.isNullable) limited.push({ limit: 'null', label });
      if (beyond !== null) limited.push({ limit: beyond, label });
    }
    on.pop();
  };
  walk(schema, [], true);
  return { args, notes, limited, isClosed: isClosed && notes.length === 0 };
}

const isClosedObject = ({ keywords, choices }: WholeSchema): boolean =>
  keywords['additionalProperties'] === false && keywords['patternProperties'] === undefined && choices.length === 0;

function placeProblem(
  label: string,
  { name, isFull }: { readonly name: string; readonly isFull: boolean },
): string | null {
  if (!PRINTABLE.test(label) || label.startsWith('__') || name === '') return 'is not a valid argument name';
  return isFull ? `is left out: at most ${MAX_ARGS} arguments` : null;
}

function entryOf(
  way: readonly string[],
  of: { readonly type: ArgumentType; readonly isThere: boolean; readonly maxBytes: number | undefined },
): Entry {
  const { type, isThere, maxBytes } = of;
  return {
    ...(way.length > 1 ? { pointer: pointerOf(way) } : {}),
    ...(type === 'string' ? {} : { type }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(isThere ? { required: true } : {}),
  };
}

/** The header that mirrors a tool's property, if its schema names a header. */
function headerOf(header: unknown, type: ArgumentType, notes: string[]): Entry {
  if (header === undefined) return {};
  if (typeof header === 'string' && isHeaderName(header) && MIRRORED.has(type)) return { header };
  notes.push('an `x-mcp-header` is left out: invalid name, or a type without a header');
  return {};
}

const LIMITS: Readonly<Record<ImportLimit, string>> = {
  text: 'strings that can exceed 4,096 bytes, or the `maxBytes` written; longer strings are denied with `action.arguments` (write a greater `maxBytes`, or remove arguments that are free text)',
  integer: '64-bit integers; values beyond ±(2^53 - 1) are denied',
  number:
    'numbers of any precision; those with more than 4 decimal places are denied (remove arguments that are measurements)',
  null: 'can be `null`, which counts as absent, so they are not `required`',
};
const MAX_NAMED = 8;

/** One line per limit, with the first affected arguments. */
export function limitNotes(limited: readonly (Limited & { readonly of: string })[]): readonly string[] {
  return [...Map.groupBy(limited, ({ limit }) => limit)].map(([limit, all]) => {
    const named = all
      .slice(0, MAX_NAMED)
      .map(({ of, label }) => `\`${printableName(label)}\` of \`${printableName(of)}\``);
    const more = all.length - named.length;
    return `${LIMITS[limit]}: ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  });
}
