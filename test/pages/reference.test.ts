import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ARGUMENT_PREFIX } from '../../src/core/telemetry/spans/argument-attributes.ts';
import { oauthError } from '../../src/authority/issuer/oauth-error.ts';
import { routerOf } from '../../src/authority/issuer/routes.ts';
import { defaultSignalEffects } from '../../src/authority/issuer/signals/effects.ts';
import { ATTEMPTS } from '../../src/tools/policy/cases/attempt-fields.ts';
import { CIRCUMSTANCES } from '../../src/tools/policy/cases/circumstances-fields.ts';

const root = resolve(import.meta.dirname, '../..');
const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');
const pageOf = (name: string): string => textOf(`deploy/guide/reference/${name}.md`);
const sourcesIn = (folder: string): string =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => textOf(`${folder}/${name}`))
    .join('\n');

/** What stands in backticks in the first cell of each row of the tables. */
const named = (page: string): ReadonlySet<string> =>
  new Set(
    [...page.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
    ),
  );
const matched = (text: string, pattern: RegExp): readonly string[] =>
  [...new Set([...text.matchAll(pattern)].map(([, name = '']) => name))].toSorted();

describe('issuer-api.md', () => {
  const page = pageOf('issuer-api');
  const endpoints = [...named(page)].filter((name) => /^(?:GET|POST|PUT|DELETE) /.test(name));

  it('has every endpoint, and no other', () => {
    const served = matched(textOf('src/authority/issuer/routes.ts'), /(?:path|route): ['`](\/[^'`$]*)['`]/g);
    const paths = new Set(endpoints.map((name) => name.replace(/^\w+ /, '')));
    expect([...paths].toSorted()).toEqual(served);
  });

  it.each(endpoints)('serves %s', (endpoint) => {
    const [method = '', path = ''] = endpoint.split(' ');
    const at = path
      .replace('{id}', '0198c0de-0000-7000-8000-000000000001')
      .replace('{order}', '3f9a0c51d27be846')
      .replace('{server}', 'payments');
    expect(routerOf('https://remit.acme.test')(method, at)).toMatchObject({ route: path });
  });

  it('has every error with its status', () => {
    const codes = matched(textOf('src/authority/issuer/oauth-error.ts'), /^ {2}([a-z_]+): \d{3},$/gm);
    const told = [...page.matchAll(/^\| ((?:`[a-z_]+`(?:, )?)+) \| (\d{3}) \|/gm)].flatMap(([, cell = '', status]) =>
      matched(cell, /`([a-z_]+)`/g).map((code) => [code, Number(status)]),
    );
    expect(Object.fromEntries(told)).toEqual(
      Object.fromEntries(codes.map((code) => [code, oauthError(code as 'invalid_request', '').status])),
    );
  });

  it('has the effect of every event', () => {
    const told = [...page.matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \| `(\w+)` \|$/gm)].flatMap(([, cell = '', effect]) =>
      matched(cell, /`([a-z-]+)`/g).map((event) => [event, effect]),
    );
    expect(Object.fromEntries(told)).toEqual(defaultSignalEffects);
  });
});

describe('commands.md', () => {
  it('has every command, and no other', () => {
    const commands = matched(textOf('src/cli/command-table.ts'), /^ {4}name: '([a-z -]+)',$/gm);
    expect(commands.length).toBeGreaterThan(20);
    expect([...named(pageOf('commands'))].map((name) => name.replace('remit ', '')).toSorted()).toEqual(commands);
  });
});

describe('span-attributes.md', () => {
  it('has every attribute of ours that spans and log records have, and no other', () => {
    const ours = /'(remit\.[a-z_.]+)'/g;
    const written = matched(
      [
        'core/telemetry/spans/check-attributes',
        'core/telemetry/ledger-logs',
        'core/telemetry/checkpoint-logs',
        'authority/issuer/token/issue',
      ]
        .map((file) => textOf(`src/${file}.ts`))
        .concat(
          [
            'authority/issuer/tasks/task-api',
            'authority/issuer/tasks/context',
            'authority/issuer/revoke/revoke',
            'authority/issuer/signals/receiver',
          ].map((file) => textOf(`src/${file}.ts`)),
        )
        .join('\n'),
      ours,
    ).filter((name) => !['remit.ledger', 'remit.ledger.checkpoint'].includes(name));
    const told = [...named(pageOf('span-attributes'))].filter((name) => name.startsWith('remit.')).toSorted();
    expect(told).toEqual([...written, `${ARGUMENT_PREFIX}NAME`].toSorted());
  });
});

const OTHER_RECORDS = ['src/core/ledger/log-record.ts', 'src/core/ledger/outcome-record.ts'];
const RECORDS = ['src/core/ledger/record.ts', ...OTHER_RECORDS];

describe('records.md', () => {
  it('has every member of every record, and no other', () => {
    const source = `${OTHER_RECORDS.map(textOf).join('')}${textOf('src/core/ledger/record.ts').split('/** One entry of the ledger.')[0] ?? ''}`;
    const members = matched(source, /^ {2}readonly (\w+)\??:/gm);
    expect([...named(pageOf('records'))].toSorted()).toEqual(members);
  });

  it('has every kind of record', () => {
    const kinds = matched(RECORDS.map(textOf).join(''), /^ {2}readonly kind: '(\w+)';/gm);
    expect(
      matched(pageOf('records'), /^## (?:`\w+` and )?`(\w+)`/gm)
        .concat('checkpoint')
        .toSorted(),
    ).toEqual(kinds);
  });
});

describe('catalog.md', () => {
  it('has every key of the file', () => {
    const source = ['catalog-file', 'catalog-head', 'catalog-protocols', 'catalog-arguments', 'catalog-grpc']
      .map((file) => textOf(`src/core/action/catalog/${file}.ts`))
      .join('\n');
    const lists = matched(source, /(?:required: |optional: |_KEYS = )\[([^\]]*)\]/g).join(' ');
    const keys = matched(lists, /'(\w+)'/g);
    expect(keys.length).toBeGreaterThan(25);
    const page = pageOf('catalog');
    expect(keys.filter((key) => !page.includes(`\`${key}\``))).toEqual([]);
  });
});

describe('intent.md', () => {
  it('has every key that the parser and the schema have, and no other', () => {
    const keys = new Set<string>();
    JSON.stringify(JSON.parse(textOf('deploy/schemas/intent.schema.json')), (_key, value: unknown) => {
      const { properties } = Object(value) as { readonly properties?: object };
      for (const name of Object.keys(properties ?? {})) keys.add(name);
      return value;
    });
    // The page tells `max_amount` by its members, and the currency in one cell.
    for (const name of ['max_amount', 'value']) keys.delete(name);
    const page = [...named(pageOf('intent'))].map((name) => name.split('.').at(-1));
    expect(new Set(page)).toEqual(keys);
    const lists = matched(textOf('src/agent/task/intent.ts'), /(?:required: |optional: )\[([^\]]*)\]/g).join(' ');
    const read = matched(lists, /'([$\w]+)'/g);
    expect(read.length).toBeGreaterThan(7);
    expect(read.filter((key) => !keys.has(key))).toEqual([]);
  });
});

describe('test-files.md', () => {
  const page = pageOf('test-files');

  it('has every key of a case', () => {
    const documented = named(page);
    expect([...ATTEMPTS, ...CIRCUMSTANCES, 'name', 'skip', 'expect'].filter((key) => !documented.has(key))).toEqual([]);
  });

  it('has every key within them', () => {
    const source = sourcesIn('src/tools/policy/cases');
    const lists = matched(source, /(?:required: |optional: |_KEYS = |const optional = )\[([^\]]*)\]/g).join(' ');
    const keys = matched(lists, /'(\w+)'/g).filter((key) => key !== 'context');
    expect(keys.length).toBeGreaterThan(25);
    expect(keys.filter((key) => !page.includes(`\`${key}\``))).toEqual([]);
  });
});
