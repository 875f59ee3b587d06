import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ENVOY_VERSION } from '../../../src/dev/envoy-binary.ts';
import { codes } from '../../../src/tools/doctor/codes.ts';
import { harmless, message } from '../../../src/tools/doctor/envoy/fields/field.ts';
import type { Field } from '../../../src/tools/doctor/envoy/fields/field.ts';
import { listener } from '../../../src/tools/doctor/envoy/fields/listener-fields.ts';
import { fieldFindings } from '../../../src/tools/doctor/envoy/fields/walk.ts';
import { knownMessages } from './envoy-api/known-messages.ts';

const [version = '', ...lines] = readFileSync(join(import.meta.dirname, 'envoy-api/fields.txt'), 'utf8')
  .trim()
  .split('\n');
const api = new Map(
  lines.map((line) => {
    const [proto = '', ...fields] = line.split(' ');
    return [proto, new Map(fields.map((field) => [field.replace(/[:=].*/, ''), field.replace(/^[^:=]*[:=]?/, '')]))];
  }),
);
const tables = knownMessages();

/** The fields of Envoy's API for which a table has neither a finding nor a reason. */
const missing = (list: typeof api): readonly string[] =>
  tables.flatMap(({ fields, proto }) =>
    [...(list.get(proto)?.keys() ?? ['(not in the list)'])]
      .filter((name) => !fields.has(name))
      .map((name) => `${proto}.${name}`),
  );

describe("the doctor's tables of the fields of Envoy", () => {
  it('have a finding, or a reason why not, for each field of the version that tests run', () => {
    expect(version).toBe(`# github.com/envoyproxy/go-control-plane/envoy v${ENVOY_VERSION}`);
    expect(missing(api)).toEqual([]);
  });

  it('fail this test if a newer Envoy has a field that is in none of them', () => {
    const newer = new Map(api);
    const proto = 'envoy.config.route.v3.RouteAction';
    newer.set(proto, new Map([...(api.get(proto) ?? []), ['send_to_anybody', '']]));
    expect(missing(newer)).toEqual([`${proto}.send_to_anybody`]);
  });

  it('name no field that Envoy does not have', () => {
    const unknown = tables.flatMap(({ fields, proto }) =>
      [...fields.keys()].filter((name) => api.get(proto)?.has(name) !== true).map((name) => `${proto}.${name}`),
    );
    expect(unknown).toEqual([]);
  });

  it('look into each message by the table of its type', () => {
    const wrong = tables.flatMap(({ fields, proto }) =>
      [...fields].flatMap(([name, field]) => {
        const type = api.get(proto)?.get(name);
        return field.kind === 'inside' && field.message().proto !== type ? [`${proto}.${name}: ${type}`] : [];
      }),
    );
    expect(wrong).toEqual([]);
  });

  it('leave no field to a check that does not read it', () => {
    const folder = join(import.meta.dirname, '../../../src/tools/doctor/envoy');
    const files = [
      ...readdirSync(folder),
      ...readdirSync(join(folder, 'reach')).map((name) => `reach/${name}`),
      'fields/values-of-fields.ts',
      'fields/bootstrap-fields.ts',
      'fields/tls-fields.ts',
    ];
    const texts = files
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(folder, name), 'utf8').replaceAll(/judged\(\[[^\]]*\],\s*'[^']*'\)/g, ''));
    // A row of a table names its fields in one text, and a check reads each by a text of its own.
    const isRead = (name: string): boolean => texts.some((text) => new RegExp(`['.]${name}['.:]`).test(text));
    const unread = tables.flatMap(({ fields, proto }) =>
      [...fields]
        .filter(([name, field]) => field.kind === 'judged' && !isRead(name))
        .map(([name]) => `${proto}.${name}`),
    );
    // All members of the first are read, whatever they are called.
    expect(unread.filter((one) => !one.startsWith('envoy.config.bootstrap.v3.Bootstrap.DynamicResources.'))).toEqual(
      [],
    );
  });

  it('give a reason, or codes that there are', () => {
    const bad = tables.flatMap(({ fields, proto }) =>
      [...fields].filter(([, field]) => !isGrounded(field)).map(([name]) => `${proto}.${name}`),
    );
    expect(bad).toEqual([]);
  });
});

function isGrounded(field: Field): boolean {
  if (field.kind === 'harmless') return field.why.length > 10;
  if (field.kind === 'judged') return field.by.length > 0 && field.by.every((code) => codes.has(code));
  return (
    field.kind !== 'found' || (codes.has(field.found.code) && field.found.message !== '' && field.found.fix !== '')
  );
}

describe('fieldFindings', () => {
  const inner = message('x.Inner', harmless('nothing depends on it', 'name'));
  const outer = message('x.Outer', harmless('nothing depends on it', 'name'), {
    inner: { kind: 'inside', message: () => inner, isMap: false, step: () => '' },
    any: {
      kind: 'extension',
      types: () =>
        new Map([['x.Known', { kind: 'inside', message: () => inner, isMap: false, step: () => '' } satisfies Field]]),
      isMap: false,
    },
  });
  const found = (value: unknown): readonly string[] =>
    fieldFindings(outer, value, 'here').map(({ code, message: text }) => `${code} ${text.split(',')[0] ?? ''}`);

  it('finds nothing in fields that it knows', () => {
    expect(
      found({ name: 'a', inner: [{ name: 'b' }], any: { '@type': 'type.googleapis.com/x.Known', name: 'c' } }),
    ).toEqual([]);
  });

  it('takes a field or type that it does not know for a field that matters', () => {
    expect(found({ later: 1 })).toEqual(['envoy.unseen `later` is a field that this doctor does not know']);
    expect(found({ inner: { later: {} } })).toEqual([
      'envoy.unseen `inner.later` is a field that this doctor does not know',
    ]);
    expect(found({ any: { typed_config: { '@type': 'type.googleapis.com/x.Later' } } })).toEqual([
      'envoy.unseen `any` has the type `x.Later`',
    ]);
    const inStruct = {
      '@type': 'type.googleapis.com/udpa.type.v1.TypedStruct',
      type_url: 'x.Known',
      value: { later: 1 },
    };
    expect(found({ any: inStruct })).toEqual(['envoy.unseen `any.later` is a field that this doctor does not know']);
  });
});

describe('the fields of a listener', () => {
  const all = { name: 'all', filters: [] };
  it.each<[string, object, readonly string[]]>([
    ['one chain', { filter_chains: [all] }, []],
    ['a default chain alone, of several fields', { default_filter_chain: all }, []],
    ['two chains', { filter_chains: [all, all] }, ['envoy.direct-path']],
    ['a chain and a default chain', { filter_chains: [all], default_filter_chain: all }, ['envoy.direct-path']],
  ])('judge connections that send nothing at %s', (_name, chains, found) => {
    const value = { continue_on_listener_filters_timeout: true, ...chains };
    expect(fieldFindings(listener, value, 'here').map(({ code }) => code)).toEqual(found);
  });
});
