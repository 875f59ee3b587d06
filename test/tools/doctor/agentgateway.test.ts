import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { NO_FACTS } from '../../../src/tools/doctor/facts.ts';
import { agentgatewayChecks } from '../../../src/tools/doctor/hosts/agentgateway.ts';
import { objectsFrom } from '../../../src/tools/doctor/hosts/host-object.ts';

const shipped = join(import.meta.dirname, '../../../deploy/hosts/agentgateway/config.yaml');
const config = parse(readFileSync(shipped, 'utf8'));
const [{ listeners }] = config.binds;
const [listener] = listeners;
const [route] = listener.routes;

/** The shipped configuration with another listener. */
const withListener = (change: object): object => ({ binds: [{ port: 8443, listeners: [{ ...listener, ...change }] }] });

/** Codes and ends of the places of what is found. */
const found = (value: unknown): readonly string[] =>
  agentgatewayChecks
    .flatMap(({ run }) => run({ ...NO_FACTS, objects: objectsFrom('config.yaml', value, () => undefined) }) ?? [])
    .map(({ code, where }) => `${code} ${where.split('/').slice(1).join('/')}`);

const backends = [{ host: '127.0.0.1:8081' }];

describe('the checks of agentgateway', () => {
  it.each<[string, object]>([
    ['as shipped', config],
    ['a redirect without a backend', withListener({ routes: [route, { name: 'moved', policies: {} }] })],
    ['a check for the whole listener', withListener({ policies: route.policies, routes: [{ name: 'a', backends }] })],
    ['no listener', { binds: [] }],
    ['odd members', { binds: [null, { listeners: {} }, { listeners: [null, { routes: [null] }] }] }],
  ])('find nothing: %s', (_what, value) => {
    expect(found(value)).toEqual([]);
  });

  it.each<[string, object, readonly string[]]>([
    [
      'a second route without a check',
      withListener({ routes: [route, { name: 'b', backends }] }),
      ['agentgateway.never-asked binds/0/agents/b'],
    ],
    [
      'a second listener without a check',
      { binds: [config.binds[0], { listeners: [{ name: 'plain', routes: [{ name: 'b', backends }] }] }] },
      ['agentgateway.never-asked binds/1/plain/b'],
    ],
    [
      'connections of TCP',
      withListener({ routes: [], protocol: 'TCP', tcpRoutes: [{ name: 't', backends }] }),
      ['agentgateway.never-asked binds/0/agents/t'],
    ],
    [
      'connections of TCP beside a check for the whole listener',
      withListener({ policies: route.policies, routes: [], tcpRoutes: [{ name: 't', backends }] }),
      ['agentgateway.never-asked binds/0/agents/t'],
    ],
  ])('find %s', (_what, value, expected) => {
    expect(found(value)).toEqual(expected);
  });
});
