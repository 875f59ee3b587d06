import * as fc from 'fast-check';
import type { RawQuestion } from '../../src/tools/policy/cases/raw-question.ts';

/** What requests to use an action are made of; the rest is the same for all. */
export interface UseRequests {
  readonly action: string;
  readonly server: string;
  /** Method and path of its route. */
  readonly endpoint: string;
  /** SPIFFE IDs without their trust domain: `/a`. */
  readonly agents: readonly string[];
  /** Groups of agents; an agent is in any of them. */
  readonly groups: readonly string[];
  readonly purposes: readonly string[];
  readonly args: fc.Arbitrary<RawQuestion['context']>;
  /** Of the action. */
  readonly labels: readonly string[];
}

const uid = (type: string, id: string) => ({ type: `Remit::${type}`, id });
const some = (of: readonly string[]) => fc.subarray([...of]);
const oneOf = (of: readonly string[]) => fc.constantFrom(...of);
const datetime = (arg: string) => ({ __extn: { fn: 'datetime', arg } });

/** Requests with values at and around what policies compare with, whatever entities there are. */
export const useRequests = ({ action, server, endpoint, ...made }: UseRequests): fc.Arbitrary<RawQuestion> =>
  fc
    .record({
      agent: oneOf(made.agents),
      groups: some(made.groups),
      domain: oneOf(['acme.test', 'acme.test', 'other.test']),
      args: made.args,
      purpose: oneOf(made.purposes),
      age: fc.constantFrom(0, 3599, 3600, 3601),
      risk: oneOf(['low', 'low', 'medium', 'high']),
      binding: oneOf(['certificate', 'certificate', 'spiffe-id', 'none']),
      reuse: some(['first', 'other-node']),
      labels: some(['customer-data']),
      claimed: some(['approval=finance']),
      attested: fc.constantFrom([], [{ name: 'approval', value: 'finance', by: 'spiffe://acme.test/w' }]),
      now: oneOf(['1999-12-31T23:59:59Z', '2026-12-01T05:59:59Z', '2027-01-31T00:00:00Z']),
    })
    .map(({ agent, groups, domain, ...of }) => ({
      principal: uid('Agent', `spiffe://${domain}${agent}`),
      action: uid('Action', action),
      resource: uid('Endpoint', `${server}:${endpoint}`),
      context: {
        intent: { purpose: of.purpose, actions: [action], ageSeconds: of.age },
        subject: 'a',
        actors: [],
        credential: {
          kind: 'task-token',
          binding: of.binding,
          scope: [],
          secondsLeft: 60,
          uses: 1,
          reuse: of.reuse,
        },
        request: { method: endpoint.split(' ')[0], host: `${server}.acme.test`, path: '/' },
        claimed: of.claimed,
        attested: of.attested,
        task: { actions: [], labels: of.labels },
        labels: made.labels,
        risk: of.risk,
        now: datetime(of.now),
        time: { office: { weekday: 1, minuteOfDay: 600, date: datetime('2026-12-01') } },
        subjectAttributes: {},
        args: of.args,
      },
      entities: [
        {
          uid: uid('Agent', `spiffe://${domain}${agent}`),
          attrs: {},
          parents: [uid('TrustDomain', domain), ...groups.map((group) => uid('AgentGroup', group))],
        },
        { uid: uid('Endpoint', `${server}:${endpoint}`), attrs: {}, parents: [uid('Server', server)] },
      ],
    }));

/** Arguments of a payment. */
export const amountAndCurrency: UseRequests['args'] = fc.record(
  {
    amount: fc.constantFrom(-1, 0, 200, 201, 499, 500, 501, 502, 100_000),
    currency: fc.constantFrom('EUR', 'USD', ''),
  },
  { requiredKeys: ['amount'] },
);
