/**
 * What stops cost a check: the two looks of `decide`, with no stop in force and with as many as there may be, for callers, servers, actions and
 * users that none of them concerns. Run: `node test/bench/stops.ts`.
 */
import { stoppedCall, stoppedCredential } from '../../src/core/decide/stopped.ts';
import type { CallFacts } from '../../src/core/decide/facts.ts';
import { mustSpiffeId } from '../builders/spiffe-id.ts';
import { orderLimits } from '../../src/core/order/order.ts';
import type { StopOrder } from '../../src/core/order/order.ts';
import { Orders } from '../../src/core/order/orders.ts';
import { agent, caller, change, rules, token } from '../builders/decided-call.ts';
import { stopOrder } from '../builders/order.ts';

const CHECKS = 2_000_000;
const AGENTS = 1_000;

const stopNumber = (n: number): StopOrder => {
  const id = n.toString(16).padStart(16, '0');
  if (n < orderLimits.maxPatterns) {
    return stopOrder({ id, kind: 'agent', what: `spiffe://acme.test/ns/other-${n}/*` });
  }
  const of = [
    { kind: 'agent', what: `spiffe://acme.test/ns/agents/sa/stopped-${n}` },
    { kind: 'user', what: `user-${n}` },
    { kind: 'server', what: `server-${n}` },
    { kind: 'action', what: `server.action-${n}` },
  ] as const;
  return stopOrder({ id, ...(of[n % of.length] ?? of[0]) });
};

/** Facts of the calls of many agents, each on behalf of a user. */
const callsUnder = (orders: Orders): readonly CallFacts[] =>
  Array.from({ length: AGENTS }, (_, n) => {
    const id = mustSpiffeId(`${agent}-${n}`);
    return change({
      orders,
      caller: { ...caller, id },
      credential: { ...token, clientId: id, actors: [id], subject: `alice-${n}` },
    });
  });

function nanosecondsPerCheck(orders: Orders): number {
  const calls = callsUnder(orders);
  const run = (checks: number): number => {
    let found = 0;
    for (let n = 0; n < checks; n += 1) {
      const facts = calls[n % AGENTS] ?? calls[0];
      if (facts === undefined) continue;
      if (stoppedCall(facts, rules.policies) !== null || stoppedCredential(facts) !== null) found += 1;
    }
    return found;
  };
  run(CHECKS / 10);
  // Processor time: other processes of the machine do not count.
  const before = process.cpuUsage();
  if (run(CHECKS) !== 0) throw new Error('a stop was found');
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / CHECKS;
}

const { maxInForce } = orderLimits;
const full = Orders.of(Array.from({ length: maxInForce }, (_, n) => stopNumber(n)));
for (const [name, orders] of [
  ['no stop', Orders.none],
  ['one stop', Orders.of([stopNumber(orderLimits.maxPatterns)])],
  [`${maxInForce} stops, ${orderLimits.maxPatterns} of them patterns`, full],
] as const) {
  process.stdout.write(`${name}: ${nanosecondsPerCheck(orders).toFixed(0)} ns a check\n`);
}
