import { describe, expect, it } from '@jest/globals';
import { mcpActionFrom } from '../../../../src/core/action/mcp/mcp.ts';
import { isFollowUp } from '../../../../src/core/action/mcp/mcp-follow-up.ts';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { mustCatalog } from '../../../builders/catalog.ts';
import { headersOf, httpCall } from '../../../builders/http-call.ts';

const PIN = `sha-256:${'x'.repeat(43)}`;

const catalogWith = (pin: string, other: string) =>
  mustCatalog(`servers:
  tools:
    hosts: [tools.acme.test]
    audience: https://tools.acme.test
    mcp:
      path: /mcp
      tools:
        pay_bill: { action: tools.pay, risk: low${pin} }
        loose: { action: tools.loose, risk: low }
${other}`);

/** What a call of a tool is: its action, or the reason of its denial. */
function calling(
  name: string,
  { pin = `, pin: '${PIN}'`, other = '' }: { readonly pin?: string; readonly other?: string } = {},
) {
  const catalog = catalogWith(pin, other);
  const server = catalog.servers.get('tools');
  const found = server === undefined ? undefined : catalog.find(server, 'POST', ['mcp']);
  if (found?.kind !== 'mcp') throw new Error('the catalog has no MCP');
  const action = mcpActionFrom(
    httpCall({
      method: 'POST',
      host: 'tools.acme.test',
      path: '/mcp',
      headers: headersOf({ 'content-type': 'application/json' }),
      body: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } })),
    }),
    found.mcp,
  );
  if (isDeny(action)) return [action.reason, action.detail];
  return isFollowUp(action) ? 'follow-up' : action.id;
}

const OTHER = '      other: { action: tools.other, risk: low }\n';

describe('a call at an MCP server with pins', () => {
  it('is the action of a tool that the catalog names', () => {
    expect([calling('pay_bill'), calling('loose')]).toEqual(['tools.pay', 'tools.loose']);
  });

  it.each(['Pay_Bill', 'pay-bill', 'p\u0430y_bill', 'pay_bi11', 'pay\u200b_bill'])(
    'is no call of what looks like a pinned tool: %j',
    (name) => {
      expect(calling(name)).toEqual([
        'action.changed',
        expect.stringContaining('looks like `pay_bill`, which has a pin'),
      ]);
      expect(calling(name, { other: OTHER })).toEqual(['action.changed', expect.anything()]);
    },
  );

  it('is never the action of everything else, as which a renamed tool would pass', () => {
    expect(calling('settle_bill', { other: OTHER })).toEqual([
      'action.changed',
      'the tool `settle_bill` was not reviewed, and the server has tools with pins',
    ]);
    expect(calling('settle_bill')).toEqual(['action.unknown', expect.anything()]);
  });

  it('is the action of everything else if no tool has a pin', () => {
    expect([calling('settle_bill', { pin: '', other: OTHER }), calling('Pay_Bill', { pin: '', other: OTHER })]).toEqual(
      ['tools.other', 'tools.other'],
    );
  });
});
