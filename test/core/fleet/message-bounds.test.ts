import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadSync } from '@grpc/proto-loader';
import { describe, expect, it } from '@jest/globals';
import { isBounded, KEEPERS, MESSAGE_BOUNDS, refusedField } from '../../../src/core/fleet/message-bounds.ts';
import type { FieldBound } from '../../../src/core/fleet/message-bounds.ts';

const folder = fileURLToPath(new URL('../../../proto', import.meta.url));
const PACKAGE = 'remit.authority.v1';
const FILE = 'remit/authority/v1/authority.proto';
const definitions = loadSync(FILE, { keepCase: true, longs: Number, includeDirs: [folder] });

interface Field {
  readonly name: string;
  readonly type: string;
  readonly typeName: string;
  readonly label: string;
}

/** What the descriptor says of a message. */
function fieldsOf(name: string): readonly Field[] {
  const definition = definitions[`${PACKAGE}.${name}`];
  if (definition === undefined || !('type' in definition)) throw new Error(`no message ${name}`);
  // `@grpc/proto-loader` gives a DescriptorProto.
  return (definition.type as unknown as { readonly field: readonly Field[] }).field;
}

/** What sidecars send: every type that a method takes. */
const requests = [...readFileSync(`${folder}/${FILE}`, 'utf8').matchAll(/^ {2}rpc \w+\((?:stream )?(\w+)\)/gm)].map(
  ([, name]) => name ?? '',
);

const shortOf = (typeName: string): string => typeName.split('.').at(-1) ?? '';

/** Those and every message in them. */
function sent(): ReadonlyMap<string, readonly Field[]> {
  const found = new Map<string, readonly Field[]>();
  const waiting = [...requests];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (found.has(name)) continue;
    const fields = fieldsOf(name);
    found.set(name, fields);
    waiting.push(...fields.filter(({ type }) => type === 'TYPE_MESSAGE').map(({ typeName }) => shortOf(typeName)));
  }
  return found;
}

/** The kind of bound that a field must have. */
const kindOf = ({ type }: Field): FieldBound['kind'] => {
  if (type === 'TYPE_MESSAGE') return 'message';
  if (type === 'TYPE_STRING') return 'text';
  if (type === 'TYPE_BYTES') return 'bytes';
  return type === 'TYPE_BOOL' ? 'flag' : 'number';
};

/** A value beyond a bound; `undefined` where there is none: what is beyond is in the fields of the message. */
function beyond(bound: Pick<FieldBound, 'kind'> & { readonly max?: number }): unknown {
  switch (bound.kind) {
    case 'text':
      return 'x'.repeat((bound.max ?? 0) + 1);
    case 'bytes':
      return Buffer.alloc((bound.max ?? 0) + 1);
    case 'number':
      return 2 ** 53;
    case 'list':
      return Array.from({ length: (bound.max ?? 0) + 1 }, () => null);
    case 'flag':
    case 'message':
      return undefined;
    default:
      return bound.kind satisfies never;
  }
}

const bounds = Object.entries(MESSAGE_BOUNDS).flatMap(([message, fields]) =>
  Object.entries(fields).map(([field, bound]) => [message, field, bound] as const),
);

describe('the bounds of what sidecars send (issue 37, point 7)', () => {
  it('are named for each field of each message, and for nothing else', () => {
    const protocol = [...sent()].flatMap(([name, fields]) => fields.map((field) => `${name}.${field.name}`));
    expect(bounds.map(([message, field]) => `${message}.${field}`).toSorted()).toEqual(protocol.toSorted());
    expect(requests.toSorted()).toEqual(
      [
        'BundleRequest',
        'GiveBackRequest',
        'OpenRequest',
        'OpenRequest',
        'ProofsRequest',
        'Records',
        'SettleRequest',
        'Up',
      ].toSorted(),
    );
  });

  it.each([...sent()])('fit the types of `%s`', (message, fields) => {
    for (const field of fields) {
      const bound = MESSAGE_BOUNDS[message]?.[field.name];
      const inner = bound?.kind === 'list' ? bound.of : bound;
      expect([field.name, bound?.kind === 'list', inner?.kind]).toEqual([
        field.name,
        field.label === 'LABEL_REPEATED',
        kindOf(field),
      ]);
      expect(inner?.kind === 'message' ? inner.of : null).toBe(
        inner?.kind === 'message' ? shortOf(field.typeName) : null,
      );
      expect(KEEPERS).toHaveProperty([bound?.by ?? 'none']);
    }
  });

  it.each(bounds.filter(([, , bound]) => bound.kind !== 'message' && bound.kind !== 'flag'))(
    'hold `%s.%s`',
    (message, field, bound) => {
      const value = { [field]: beyond(bound) };
      const found = refusedField(message, value);
      if (bound.beyond === 'refused') expect(found).toContain(`\`${message}.${field}\``);
      else expect(found).toBeNull();
      expect(isBounded(message, value)).toBe(bound.beyond === 'cut');
      if (bound.kind !== 'list' || bound.of.kind === 'message' || bound.beyond !== 'refused') return;
      expect(refusedField(message, { [field]: [beyond(bound.of)] })).toContain(`\`${message}.${field}\``);
    },
  );

  it('reach into messages of messages', () => {
    const key = { issuer: 'i', id: 'x'.repeat(129) };
    expect(refusedField('Up', { of: 'hello', hello: { held: [{ key, jti_digests: [] }] } })).toBe(
      '`TaskKey.id` has too many characters',
    );
    expect(refusedField('Up', { of: 'ping', ping: { n: 1, status: { last_error: 'x'.repeat(9_999) } } })).toBeNull();
  });
});
