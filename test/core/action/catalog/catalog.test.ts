import { describe, expect, it } from '@jest/globals';
import { catalogFrom } from '../../../../src/core/action/catalog/catalog-assembly.ts';
import type { Catalog } from '../../../../src/core/action/catalog/catalog.ts';
import { mustCatalog } from '../../../builders/catalog.ts';

const server = (routes: string, head = 'hosts: [payments.acme.test]\n    audience: https://payments.acme.test') =>
  `servers:\n  payments:\n    ${head}\n    routes:\n${routes}`;
const route = (action: string, method: string, path: string, more = '') =>
  `      - { action: ${action}, method: ${method}, path: '${path}', risk: low${more} }\n`;

const mustLoad = (text: string): Catalog => mustCatalog(text);
const findings = (text: string): readonly string[] => {
  const catalog = catalogFrom(text, 'actions.yaml');
  return 'findings' in catalog
    ? catalog.findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`)
    : [];
};

describe('catalogFrom reads', () => {
  it('servers, actions, risks and arguments, path parameters included', () => {
    const catalog = mustLoad(
      server(
        route('payments.read', 'GET', '/v1/payments/{id}') +
          `      - action: payments.create
        method: POST
        path: /v1/payments
        risk: high
        args:
          amount: { from: query, type: long, required: true }
          currency: { from: query }
`,
      ),
    );
    const read = catalog.actions.get('payments.read');
    const create = catalog.actions.get('payments.create');
    expect(read?.args).toEqual([{ name: 'id', from: 'path', type: 'string', required: true }]);
    expect(read?.parameters).toMatchObject(new Map([['id', { index: 2, type: { text: '' } }]]));
    expect(create).toMatchObject({ risk: 'high', method: 'POST', template: '/v1/payments' });
    expect(create?.args).toEqual([
      { name: 'amount', from: 'query', type: 'long', required: true },
      { name: 'currency', from: 'query', type: 'string', required: false },
    ]);
    expect(catalog.audiences).toEqual(new Set(['https://payments.acme.test']));
    expect(catalog.serverAt('payments.acme.test', ['v1'])).toEqual({ kind: 'server', server: create?.server });
    expect(catalog.serversByAudience.get('https://payments.acme.test')).toBe(create?.server);
  });

  it('a literal beside a parameter, and prefers the literal', () => {
    const catalog = mustLoad(
      server(route('a.any', 'GET', '/a/{x}') + route('a.new', 'GET', '/a/new') + route('a.deep', 'GET', '/a/{x}/b')),
    );
    const payments = catalog.servers.get('payments');
    if (payments === undefined) throw new Error('no server');
    const found = (...[server, method, segments]: Parameters<Catalog['find']>): string | undefined => {
      const target = catalog.find(server, method, segments);
      return target?.kind === 'http' ? target.action.id : undefined;
    };
    expect(found(payments, 'GET', ['a', 'new'])).toBe('a.new');
    expect(found(payments, 'GET', ['a', 'old'])).toBe('a.any');
    expect(catalog.find(payments, 'GET', ['a', 'NEW'])?.kind).toBe('lookalike');
    expect(found(payments, 'GET', ['a', 'new', 'b'])).toBe('a.deep');
    expect(catalog.find(payments, 'get', ['a', 'new'])).toBeUndefined();
    expect(catalog.find(payments, 'GET', ['a', ''])).toBeUndefined();
    expect(catalog.find(payments, 'GET', ['a'])).toBeUndefined();
  });
});

const protocols = `servers:
  tickets:
    hosts: [tickets.acme.test]
    audience: https://tickets.acme.test
    labels: [internal]
    mcp:
      path: /mcp
      tools:
        create_ticket:
          action: tickets.create
          risk: medium
          labels: [customer-data]
          args:
            title: { required: true, header: Title }
            '/priority (1-5)': { pointer: '/meta~1data/priority', type: long }
        'delete ticket': { action: tickets.delete, risk: high }
      resources: { action: tickets.resources, risk: low }
    a2a:
      path: /a2a
      methods:
        message/send: { action: tickets.ask, risk: medium, args: { text: { pointer: /message/text } } }
    grpc:
      services:
        acme.tickets.v1.Tickets:
          methods:
            Get: { action: tickets.rpc-get, risk: low }
    routes:
      - { action: tickets.page, method: GET, path: '/{page}', risk: low }
      - action: tickets.import
        method: POST
        path: /import
        risk: high
        staticSecrets:
          exceptions:
            - { header: authorization, owner: billing team, until: '2027-02-28' }
            - { digest: 'sha-256:${'A'.repeat(43)}', owner: billing team, until: '2027-02-28' }
        args:
          total: { from: body, type: decimal, pointer: /order/total, required: true }
          tags: { from: body, type: strings }
`;

describe('catalogFrom reads the protocols', () => {
  const catalog = mustLoad(protocols);
  const tickets = catalog.servers.get('tickets');
  if (tickets === undefined) throw new Error('no server');
  const target = (method: string, path: string) => catalog.find(tickets, method, path.slice(1).split('/'));

  it('MCP tools by name, with their session', () => {
    const found = target('POST', '/mcp');
    if (found?.kind !== 'mcp') throw new Error('no mcp');
    const { tools, session, resources, prompts, other } = found.mcp;
    expect([...tools.keys()]).toEqual(['create_ticket', 'delete ticket']);
    expect(tools.get('create_ticket')).toMatchObject({
      id: 'tickets.create',
      kind: 'mcp',
      endpoint: '/mcp tools/create_ticket',
      labels: new Set(['internal', 'customer-data']),
      isSession: false,
      args: [
        { name: 'title', from: 'body', pointer: ['title'], type: 'string', required: true },
        { name: '/priority (1-5)', from: 'body', pointer: ['meta/data', 'priority'], type: 'long', required: false },
      ],
    });
    expect(session).toMatchObject({ id: 'tickets.mcp.session', risk: 'low', isSession: true });
    expect(catalog.actions.get('tickets.mcp.session')).toBe(session);
    expect([resources?.id, prompts, other]).toEqual(['tickets.resources', null, null]);
  });

  it('the path of MCP before a parameter, for the methods of MCP only', () => {
    expect(target('GET', '/mcp')?.kind).toBe('mcp');
    expect(target('DELETE', '/mcp')?.kind).toBe('mcp');
    expect(target('GET', '/mcq')).toMatchObject({ kind: 'http', action: { id: 'tickets.page' } });
    expect(target('PUT', '/mcp')).toBeUndefined();
    expect(target('POST', '/mcp/')).toBeUndefined();
    expect(target('POST', '/MCP')).toBeUndefined();
  });

  it('gRPC methods by path, and A2A methods by name', () => {
    expect(target('POST', '/acme.tickets.v1.Tickets/Get')).toMatchObject({
      kind: 'grpc',
      action: { id: 'tickets.rpc-get', kind: 'grpc', endpoint: 'POST /acme.tickets.v1.Tickets/Get' },
    });
    expect(target('POST', '/acme.tickets.v1.Tickets/get')).toBeUndefined();
    const agent = target('POST', '/a2a');
    if (agent?.kind !== 'a2a') throw new Error('no a2a');
    expect(agent.a2a.methods.get('message/send')).toMatchObject({
      id: 'tickets.ask',
      args: [{ name: 'text', pointer: ['message', 'text'] }],
    });
  });

  it('arguments of the body, and exceptions for static secrets up to the end of their day', () => {
    expect(catalog.actions.get('tickets.import')).toMatchObject({
      staticSecrets: [
        { digest: null, header: 'authorization', owner: 'billing team', untilMs: Date.UTC(2027, 2, 1) },
        { digest: `sha-256:${'A'.repeat(43)}`, header: null, owner: 'billing team', untilMs: Date.UTC(2027, 2, 1) },
      ],
      args: [
        { name: 'total', from: 'body', pointer: ['order', 'total'], type: 'decimal', required: true },
        { name: 'tags', from: 'body', pointer: ['tags'], type: 'strings', required: false },
      ],
    });
    expect(catalog.actions.get('tickets.page')).toMatchObject({ staticSecrets: [] });
  });
});

describe('catalogFrom finds in the protocols', () => {
  const rows: readonly (readonly [string, readonly [string, string], string])[] = [
    [
      'a route on the path of MCP',
      ['path: /import', 'path: /mcp'],
      'actions.yaml:7:13: `POST /mcp` overlaps with `POST /mcp` of `tickets.import`',
    ],
    ['A2A on the path of MCP', ['path: /a2a', 'path: /mcp'], '`POST /mcp` overlaps with `POST /mcp` of `mcp`'],
    [
      'a route on a gRPC method',
      ['path: /import', 'path: /acme.tickets.v1.Tickets/Get'],
      '`POST /acme.tickets.v1.Tickets/Get` overlaps with',
    ],
    ['a tool twice', ["'delete ticket'", 'create_ticket'], 'invalid YAML: map keys must be unique'],
    ['an action twice', ['tickets.delete', 'tickets.create'], 'the action `tickets.create` is defined twice'],
    [
      'an action in the place of the session',
      ['tickets.ask', 'tickets.mcp.session'],
      'the action `tickets.mcp.session` is defined twice',
    ],
    [
      'a parameter in the path of MCP',
      ['path: /mcp', "path: '/{x}'"],
      '`/{x}` must be a path without parameters: it has a parameter',
    ],
    ['an unprintable tool', ["'delete ticket'", '"delete\\u202eticket"'], 'the name of a tool must be printable'],
    [
      'a service without package form',
      ['acme.tickets.v1.Tickets:', 'acme/Tickets:'],
      'a gRPC service is named with its package',
    ],
    ['a gRPC method that is none', ['Get: {', "'Get/x': {"], 'a gRPC method is a name of letters'],
    [
      'arguments of a gRPC method',
      ['rpc-get, risk: low', 'rpc-get, risk: low, args: {}'],
      'the arguments of a gRPC method need the `descriptorSet` of its messages',
    ],
    [
      'an argument of resources that they have already',
      ['resources, risk: low', 'resources, risk: low, args: { uri: {} }'],
      '`uri` is an argument already',
    ],
    [
      'a header that is no name',
      ['header: Title', 'header: the_title'],
      'the header `the_title` must be letters, digits and `-`',
    ],
    [
      'a header of two arguments',
      ['type: long }', 'type: long, header: title }'],
      'the header `title` mirrors another argument already',
    ],
    [
      'a header of a list',
      ['header: Title', 'header: Title, type: strings'],
      'an argument of type `strings` has no header',
    ],
    [
      'a header of an argument of A2A',
      ['{ pointer: /message/text }', '{ pointer: /message/text, header: Text }'],
      'unknown key `header` in an argument',
    ],
    ['a pointer without slash', ['/order/total', 'total'], 'the pointer `total` must be a JSON pointer'],
    ['a pointer to everything', ['/order/total', "''"], 'the pointer `` must be a JSON pointer'],
    ['a bad escape in a pointer', ['/order/total', '/a~2'], 'the pointer `/a~2` must be a JSON pointer'],
    ['a pointer of nine steps', ['/order/total', '/a/b/c/d/e/f/g/h/i'], 'must be a JSON pointer of 1 to 8 steps'],
    [
      '`maxBytes` of nothing',
      ['pointer: /message/text', 'pointer: /message/text, maxBytes: 0'],
      '`maxBytes` `0` must be a whole number from 1 to 65536',
    ],
    [
      '`maxBytes` beyond 64 KiB',
      ['pointer: /message/text', 'pointer: /message/text, maxBytes: 65537'],
      '`maxBytes` `65537` must be a whole number from 1 to 65536',
    ],
    [
      '`maxBytes` of a number',
      ['pointer: /message/text', 'type: long, maxBytes: 9, pointer: /message/text'],
      '`maxBytes` is for strings: an argument of type `long` has no length',
    ],
    [
      'another word for other arguments',
      ['args: { text: { pointer: /message/text } }', 'otherArguments: refuse'],
      '`otherArguments` `refuse` must be one of `ignore`, `deny`',
    ],
    [
      'a body that is not read, of an action without other arguments',
      ["path: '/{page}', risk: low", "path: '/{page}', risk: low, otherArguments: deny, body: opaque"],
      'with `otherArguments: deny` the body is `json` or `none`',
    ],
    [
      'an input with two kinds of answers',
      ['tickets.resources, risk: low', 'tickets.resources, risk: low, inputs: { a: { text: {}, roots: {} } }'],
      'the input `a` has exactly one of `content`, `text` and `roots`',
    ],
    [
      'an answer of another type than the argument of its name',
      [
        'tickets.resources, risk: low',
        'tickets.resources, risk: low, inputs: { a: { content: { uri: { type: long } } } }',
      ],
      '`uri` is a `long` here and a `string` elsewhere in this action',
    ],
    [
      'an answer with a name that no argument can have',
      ['tickets.resources, risk: low', 'tickets.resources, risk: low, inputs: { a: { text: { as: __x } } }'],
      'the argument name `__x` must be printable',
    ],
    [
      'a state that is not sealed',
      ['tickets.resources, risk: low', 'tickets.resources, risk: low, state: open'],
      '`state` `open` must be one of `sealed`',
    ],
    [
      'a gRPC method without other arguments and a descriptor set',
      ['Get: { action', 'Get: { otherArguments: deny, action'],
      'the arguments of a gRPC method need the `descriptorSet` of its messages',
    ],
    [
      'a method of A2A that `send` is for already',
      [
        'methods:\n        message/send',
        'send: { action: tickets.send, risk: low }\n      methods:\n        message/send',
      ],
      '`message/send` sends a message, so it is the action of `send` already',
    ],
    [
      'an agent without methods',
      [
        'methods:\n        message/send: { action: tickets.ask, risk: medium, args: { text: { pointer: /message/text } } }',
        '',
      ],
      '`a2a` has at least one of `send` and `methods`',
    ],
    [
      'a pointer of an argument of the path',
      ["path: '/{page}', risk: low", "path: '/{page}', risk: low, args: { page: { from: path, pointer: /a } }"],
      '`pointer` is for arguments from the body',
    ],
    [
      'an argument from the body of GET',
      ["path: '/{page}', risk: low", "path: '/{page}', risk: low, args: { a: { from: body } }"],
      'a `GET` or `HEAD` has no body',
    ],
    ['a label in capitals', ['[internal]', '[Internal]'], 'the label `Internal` must be'],
    [
      'an exception without end',
      [", until: '2027-02-28' }\n            - {", ' }\n            - {'],
      'an exception lacks the key `until`',
    ],
    ['an exception that ends on no day', ['2027-02-28', '2027-02-29'], '`until` `2027-02-29` must be a day'],
    [
      'an exception for everything',
      ['header: authorization, ', ''],
      'an exception names the `digest` of a secret, or the `header`',
    ],
    ['a header in capitals', ['header: authorization', 'header: Authorization'], 'the header `Authorization` must be'],
    [
      'a secret in the place of its digest',
      ['sha-256:', 'sk-'],
      'must be `hmac-sha-256:` or `sha-256:` and 43 characters',
    ],
    [
      'upgrades, which are refused everywhere',
      ['staticSecrets:', 'upgrades: true\n        staticSecrets:'],
      'unknown key `upgrades` in a route',
    ],
  ];
  it.each(rows)('%s', (_name, [from, to], expected) => {
    const text = protocols.replace(from, to);
    expect(text).not.toBe(protocols);
    const found = findings(text);
    expect(found.some((line) => line.includes(expected)) ? expected : found).toBe(expected);
  });

  it('a server of nothing', () => {
    expect(findings('servers: { a: { hosts: [a.test], audience: https://a.test } }\n')).toEqual([
      'actions.yaml:1:15: a server has at least one of `routes`, `mcp`, `grpc` and `a2a`',
    ]);
  });
});

describe('catalogFrom finds', () => {
  const head = 'hosts: [a.test]\n    audience: ';
  const rows: readonly (readonly [string, string, string])[] = [
    ['an empty file', '', 'actions.yaml:1:1: the catalog must be a mapping'],
    ['broken YAML', 'servers:\n  a: [\n', 'actions.yaml:3:1: invalid YAML: '],
    ['a duplicate key', 'servers: {}\nservers: {}\n', 'actions.yaml:2:1: invalid YAML: map keys must be unique'],
    ['an alias', 'servers: &a {}\nx: *a\n', 'actions.yaml:2:4: aliases are not supported: write the value out'],
    ['a custom tag', 'servers: !!js {}\n', 'actions.yaml:1:10: invalid YAML: unresolved tag'],
    ['an unknown key at the top', 'servers: {}\nserver: {}\n', 'actions.yaml:2:1: unknown key `server` in the catalog'],
    ['an unknown key of a server', server('', 'host: [a.test]'), 'actions.yaml:3:5: unknown key `host` in a server'],
    [
      'a missing key of a server',
      server('      []\n', 'hosts: [a.test]'),
      'actions.yaml:3:5: a server lacks the key `audience`',
    ],
    [
      'an unknown key of a route',
      server(route('a', 'GET', '/', ', arg: {}')),
      'actions.yaml:6:57: unknown key `arg` in a route',
    ],
    ['a missing key of a route', server('      - { action: a }\n'), 'actions.yaml:6:9: a route lacks the key `method`'],
    ['a bad server id', 'servers: { Pay: {} }\n', 'actions.yaml:1:12: the server id `Pay` must be lower-case letters'],
    [
      'no host',
      server('      []\n', `hosts: []\n    audience: https://a.test`),
      'actions.yaml:3:12: a server has at least one host',
    ],
    [
      'a host with a port',
      server('      []\n', `hosts: ['a.test:8']\n    audience: https://a.test`),
      'actions.yaml:3:13: the host `a.test:8` must be a lower-case host name',
    ],
    [
      'a wildcard host',
      server('      []\n', `hosts: ['*.test']\n    audience: https://a.test`),
      'actions.yaml:3:13: the host `*.test` must be',
    ],
    [
      'an upper-case host',
      server('      []\n', `hosts: [A.test]\n    audience: https://a.test`),
      'actions.yaml:3:13: the host `A.test` must be',
    ],
    [
      'an http audience',
      server('      []\n', `${head}http://a.test`),
      'actions.yaml:4:15: the audience `http://a.test` must be an absolute `https` URI',
    ],
    [
      'an audience with a fragment',
      server('      []\n', `${head}'https://a.test/#x'`),
      'actions.yaml:4:15: the audience `https://a.test/#x` must be',
    ],
    [
      'an audience that is not canonical',
      server('      []\n', `${head}https://A.test`),
      'actions.yaml:4:15: the audience `https://A.test` must be',
    ],
    [
      'an audience with a user',
      server('      []\n', `${head}https://u@a.test`),
      'actions.yaml:4:15: the audience `https://u@a.test` must be',
    ],
    ['an unknown method', server(route('a', 'get', '/')), 'actions.yaml:6:30: the method `get` must be one of `GET`'],
    [
      'an unknown risk',
      server(`      - { action: a, method: GET, path: /, risk: none }\n`),
      'actions.yaml:6:50: the risk `none` must be one of `low`',
    ],
    ['a reserved action', server(route('issue', 'GET', '/')), 'actions.yaml:6:19: the action `issue` must be'],
    ['a risk as an action', server(route('high', 'GET', '/')), 'actions.yaml:6:19: the action `high` must be'],
    ['an action with a space', server(route('a b', 'GET', '/')), 'actions.yaml:6:19: the action `a b` must be'],
    [
      'a template without slash',
      server(route('a', 'GET', 'v1')),
      'actions.yaml:6:41: the path `v1` is not a template: a path template must begin with `/`',
    ],
    [
      'a template with a wildcard',
      server(route('a', 'GET', '/{x*}')),
      'actions.yaml:6:41: the path `/{x*}` is not a template: `{x*}` must be',
    ],
    [
      'a template with an empty segment',
      server(route('a', 'GET', '/a//b')),
      'actions.yaml:6:41: the path `/a//b` is not a template: a path template has no empty',
    ],
    [
      'a template with a dot segment',
      server(route('a', 'GET', '/a/../b')),
      'actions.yaml:6:41: the path `/a/../b` is not a template: `..` is not a segment',
    ],
    [
      'a template with a percent',
      server(route('a', 'GET', '/a%2F')),
      'actions.yaml:6:41: the path `/a%2F` is not a template: ',
    ],
    [
      'a parameter twice',
      server(route('a', 'GET', '/{x}/{x}')),
      'actions.yaml:6:41: the path `/{x}/{x}` is not a template: the parameter `x` appears twice',
    ],
    [
      'an argument of no parameter',
      server(route('a', 'GET', '/', ', args: { y: { from: path } }')),
      'actions.yaml:6:65: the path has no parameter `{y}`',
    ],
    [
      'a parameter from the query',
      server(route('a', 'GET', '/{y}', ', args: { y: { from: query } }')),
      'actions.yaml:6:68: `y` is a parameter of the path, so it is taken from there',
    ],
    [
      'an optional parameter',
      server(route('a', 'GET', '/{y}', ', args: { y: { from: path, required: false } }')),
      'actions.yaml:6:68: `y` is a parameter of the path, so it is always there',
    ],
    [
      'an argument of an unknown type',
      server(route('a', 'GET', '/', ', args: { y: { from: query, type: float } }')),
      'actions.yaml:6:89: the type `float` must be one of `string`, `long`, `bool`',
    ],
    [
      'an argument that Cedar would read',
      server(route('a', 'GET', '/', ', args: { __entity: { from: query } }')),
      'actions.yaml:6:65: the argument name `__entity` must be printable',
    ],
    [
      'an argument with a word for required',
      server(route('a', 'GET', '/', ', args: { y: { from: query, required: yes } }')),
      'actions.yaml:6:93: `required` must be `true` or `false`',
    ],
    [
      'an action twice',
      server(route('a', 'GET', '/x') + route('a', 'GET', '/y')),
      'actions.yaml:7:19: the action `a` is defined twice',
    ],
    [
      'a route twice',
      server(route('a', 'GET', '/x') + route('b', 'GET', '/x')),
      'actions.yaml:7:41: `GET /x` overlaps with `GET /x` of `a`',
    ],
    [
      'a route twice by shape',
      server(route('a', 'GET', '/{x}') + route('b', 'GET', '/{y}')),
      'actions.yaml:7:41: `GET /{y}` overlaps with `GET /{x}` of `a`',
    ],
    [
      'routes that cross',
      server(route('a', 'GET', '/x/{y}') + route('b', 'GET', '/{x}/y')),
      'actions.yaml:7:41: `GET /{x}/y` overlaps with `GET /x/{y}` of `a`',
    ],
    [
      'a host claimed twice',
      server('      []\n') +
        '  files:\n    hosts: [payments.acme.test]\n    audience: https://files.acme.test\n    routes: []\n',
      'actions.yaml:8:13: the host `payments.acme.test` already belongs to the server `payments`',
    ],
    [
      'an audience claimed twice',
      server('      []\n') +
        '  files:\n    hosts: [files.acme.test]\n    audience: https://payments.acme.test\n    routes: []\n',
      'actions.yaml:9:15: the audience `https://payments.acme.test` already belongs to the server `payments`',
    ],
  ];
  it.each(rows)('%s', (_name, text, expected) => {
    expect(findings(text).some((found) => found.startsWith(expected)) ? expected : findings(text)).toBe(expected);
  });

  it('a file over 1 MiB and nesting beyond the stack, without throwing', () => {
    expect(findings(`# ${'x'.repeat(1024 * 1024)}`)).toEqual([
      'actions.yaml:1:1: the file is larger than 1048576 bytes',
    ]);
    const deep = findings('['.repeat(500_000));
    expect(deep[0]).toMatch(/^actions\.yaml:1:\d+: invalid YAML: /);
    expect(deep.length).toBeLessThanOrEqual(20);
  });

  it('everything in one run, in reading order', () => {
    const text = server(route('a b', 'get', '/x') + route('c', 'GET', 'x'));
    expect(findings(text).map((found) => found.split(': ')[0])).toEqual([
      'actions.yaml:6:19',
      'actions.yaml:6:32',
      'actions.yaml:7:41',
    ]);
  });
});

describe('catalogFrom reads `timeZones`', () => {
  const servers = `servers:
  s: { hosts: [a.test], audience: 'https://a.test', routes: [{ action: a.b, method: GET, path: /, risk: low }] }
`;
  const findings = (zones: string): readonly string[] => {
    const read = catalogFrom(`timeZones: ${zones}\n${servers}`, 'actions.yaml');
    return 'findings' in read ? read.findings.map(({ message, help }) => `${message}; ${help}`) : [];
  };

  it('by name; none by default', () => {
    const zones = '{ office: Europe/Berlin, utc: UTC, indiana: America/Indiana/Knox, west: Etc/GMT+5 }';
    expect([...mustLoad(`timeZones: ${zones}\n${servers}`).timeZones]).toEqual([
      ['office', 'Europe/Berlin'],
      ['utc', 'UTC'],
      ['indiana', 'America/Indiana/Knox'],
      ['west', 'Etc/GMT+5'],
    ]);
    expect(mustLoad(servers).timeZones.size).toBe(0);
  });

  const rule = 'must be a name of the IANA time zone database such as `Europe/Berlin`, or `UTC`';
  it.each([
    ['{ office: Europe/Berlim }', [`\`Europe/Berlim\` ${rule}; did you mean \`Europe/Berlin\`?`]],
    // An offset and an abbreviation have no daylight saving time.
    ['{ office: "+01:00" }', [expect.stringContaining(`\`+01:00\` ${rule}`)]],
    ['{ office: EST }', [expect.stringContaining(`\`EST\` ${rule}`)]],
    ['{ office: 1 }', [`the time zone \`1\` ${rule}; null`]],
    ['{ "Office hours": UTC }', [expect.stringContaining('the name `Office hours` of a time zone must be letters')]],
    ['[UTC]', ['`timeZones` must be a mapping; null']],
    [
      `{ ${Array.from({ length: 17 }, (_, at) => `z${at}: UTC`).join(', ')} }`,
      ['there are at most 16 time zones; null'],
    ],
  ])('and says of `%s` what is wrong', (zones, expected) => {
    expect(findings(zones)).toEqual(expected);
  });
});

describe('catalogFrom reads `subjectAttributes`', () => {
  const servers = `servers:
  s: { hosts: [a.test], audience: 'https://a.test', routes: [{ action: a.b, method: GET, path: /, risk: low }] }
`;

  it('by name and type; none by default', () => {
    const attributes = 'subjectAttributes: { groups: strings, tenant: string, level: long, staff: bool }\n';
    expect([...mustLoad(attributes + servers).subjectAttributes.keys()]).toEqual([
      'groups',
      'tenant',
      'level',
      'staff',
    ]);
    expect(mustLoad(servers).subjectAttributes.size).toBe(0);
  });

  it.each([
    ['{ groups: decimal }', 'the type `decimal` must be one of `string`, `long`, `bool`, `strings`'],
    ['{ "the groups": strings }', 'the attribute `the groups` must be letters, digits and `_`'],
    [`{ ${Array.from({ length: 17 }, (_, at) => `a${at}: bool`).join(', ')} }`, 'there are at most 16 attributes'],
  ])('and says of `%s` what is wrong', (written, message) => {
    const read = catalogFrom(`subjectAttributes: ${written}\n${servers}`, 'actions.yaml');
    expect('findings' in read ? read.findings.map((finding) => finding.message) : []).toEqual([
      expect.stringContaining(message),
    ]);
  });
});
