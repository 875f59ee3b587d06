import { describe, expect, it } from '@jest/globals';
import { forwardOptionsFrom } from '../../../src/agent/forward/forward-option.ts';
import { forwardTargetsFrom } from '../../../src/agent/forward/forward-target.ts';
import { localReference } from '../../../src/agent/forward/local/local-reference.ts';
import { reachingLoopback } from '../../../src/agent/run/loopback-environment.ts';

const plain = {
  url: null,
  resource: null,
  port: 0,
  connect: null,
  authorities: 'bundle',
  id: null,
  upgrades: false,
};

describe('forwardOptionsFrom', () => {
  it.each([
    ['tools', { name: 'tools' }],
    ['tools=https://tools.test/', { name: 'tools', url: 'https://tools.test' }],
    ['Tools-2=https://tools.test:8443/a,b/', { name: 'Tools-2', url: 'https://tools.test:8443/a,b' }],
    ['tools=http://tools.demo/', { name: 'tools', url: 'http://tools.demo' }],
    ['t,port=8090,upgrade=websocket', { name: 't', port: 8090, upgrades: true }],
    ['t,connect=127.0.0.1:1', { name: 't', connect: { host: '127.0.0.1', port: 1 } }],
    ['t,connect=[::1]:65535', { name: 't', connect: { host: '::1', port: 65_535 } }],
    ['t,ca=system,resource=urn:x', { name: 't', authorities: 'system', resource: 'urn:x' }],
    ['t,ca=/a,b.pem,id=spiffe://a.test/x', { name: 't', authorities: { file: '/a,b.pem' }, id: 'spiffe://a.test/x' }],
  ])('reads %s', (word, option) => {
    expect(forwardOptionsFrom([word])).toEqual([{ ...plain, ...option }]);
  });

  it.each([
    [['1x=https://a.test'], 'a name has letters, digits and hyphens, at most 32'],
    [[''], 'must be `NAME[=URL]`'],
    [['a_b'], 'must be `NAME[=URL]`'],
    [['a,unknown=x'], 'must be `NAME[=URL]`'],
    [['a='], 'must name an https: URL without query, fragment and credentials'],
    [['a=ftp://a.test'], 'must name an https: URL'],
    [['a=http://a.test?x'], 'must name an https: URL'],
    [['a=http://a.test,ca=system'], 'setting `ca` is for an https: URL'],
    [['a=http://a.test,id=spiffe://a.test/x'], 'setting `id` is for an https: URL'],
    [['a=https://u:p@a.test'], 'must name an https: URL'],
    [['a=https://a.test?x'], 'must name an https: URL'],
    [['a=https://a.test#x'], 'must name an https: URL'],
    [['a,port=70000'], 'setting `port` must be a port, 1 to 65535'],
    [['a,port=0'], 'setting `port` must be a port'],
    [['a,connect=host'], 'setting `connect` must be `HOST:PORT`'],
    [['a,connect=:1'], 'setting `connect` must be `HOST:PORT`'],
    [['a,ca='], 'setting `ca` must be `bundle`, `system` or a PEM file'],
    [['a,id=x'], 'setting `id` must be a SPIFFE ID'],
    [['a,upgrade=h2c'], 'setting `upgrade` must be `websocket`'],
    [['a-b', 'a-b'], 'two --forward would set the variable REMIT_FORWARD_A_B'],
    [['a', 'A'], 'two --forward would set the variable REMIT_FORWARD_A'],
    [['a', 'a-socket'], 'two --forward would set the variable REMIT_FORWARD_A_SOCKET'],
  ])('refuses %j: %s', (words, problem) => {
    expect(forwardOptionsFrom(words)).toEqual({ problem: expect.stringContaining(problem) });
  });
});

const TWO = ['https://a.test', 'https://a.test/mcp', 'https://b.test'];

describe('forwardTargetsFrom', () => {
  it.each([
    ['x=https://a.test/v1', TWO, 'https://a.test', 'https://a.test', '/v1'],
    ['x=https://a.test/mcp/x', TWO, 'https://a.test/mcp', 'https://a.test', '/mcp/x'],
    ['x=https://a.test/mcpx', TWO, 'https://a.test', 'https://a.test', '/mcpx'],
    ['x=https://127.0.0.1:9', ['https://b.test'], 'https://b.test', 'https://127.0.0.1:9', ''],
    ['b', TWO, 'https://b.test', 'https://b.test', ''],
    ['x', ['https://b.test/mcp'], 'https://b.test/mcp', 'https://b.test', '/mcp'],
    ['x=https://c.test,resource=https://b.test', TWO, 'https://b.test', 'https://c.test', ''],
  ])('settles %s', (word, resources, resource, origin, base) => {
    const options = forwardOptionsFrom([word]);
    expect('problem' in options ? options : forwardTargetsFrom(options, resources)).toMatchObject([
      { resource, origin, base },
    ]);
  });

  it.each([
    ['x=https://c.test', TWO, 'fits none or several'],
    ['x=https://a.test.evil.test', TWO, 'fits none or several'],
    ['a', TWO, 'fits none or several'],
    ['x', ['urn:payments'], 'needs a URL'],
    ['x,resource=https://c.test', TWO, 'does not name the resource `https://c.test`'],
  ])('refuses %s for %j: %s', (word, resources, problem) => {
    const options = forwardOptionsFrom([word]);
    expect('problem' in options ? options : forwardTargetsFrom(options, resources)).toEqual({
      problem: expect.stringContaining(problem),
    });
  });
});

describe('localReference', () => {
  const target = { origin: 'https://a.test', base: '/mcp' };
  it.each([
    ['/mcp/x?y#z', '/S/x?y#z'],
    ['/mcp', '/S'],
    ['/mcp?x', '/S?x'],
    ['/mcpx', '/mcpx'],
    ['/other', '/other'],
    ['https://a.test/mcp/', '/S/'],
    ['HTTPS://A.test/mcp/x', '/S/x'],
    ['https://a.test:444/mcp/x', 'https://a.test:444/mcp/x'],
    ['https://a.test/x', 'https://a.test/x'],
    ['https://a.test.evil.test/mcp', 'https://a.test.evil.test/mcp'],
    ['//a.test/mcp', '//a.test/mcp'],
    ['/\\\\a.test/mcp', '/\\\\a.test/mcp'],
    ['javascript:1', 'javascript:1'],
    ['', ''],
  ])('%s is %s', (reference, local) => {
    expect(localReference(reference, target, '/S')).toBe(local);
  });
});

describe('reachingLoopback', () => {
  it.each([
    [{}, '127.0.0.1,localhost', '127.0.0.1,localhost'],
    [{ no_proxy: 'a.test' }, 'a.test,127.0.0.1,localhost', 'a.test,127.0.0.1,localhost'],
    [{ NO_PROXY: 'a.test, localhost' }, 'a.test,localhost,127.0.0.1', 'a.test,localhost,127.0.0.1'],
    [{ no_proxy: '*', NO_PROXY: 'b' }, '*', 'b,127.0.0.1,localhost'],
  ] as [Record<string, string>, string, string][])('%j', (environment, lower, upper) => {
    expect(reachingLoopback({ ...environment, HTTP_PROXY: 'x' })).toEqual({
      HTTP_PROXY: 'x',
      no_proxy: lower,
      NO_PROXY: upper,
    });
  });
});
