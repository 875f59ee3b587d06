import type { Agent, AgentCall, AgentReply } from './agent.ts';
import { tokenRequest, type TaskDeclaration } from './issuer-request.ts';

/** The addresses of the trust domain's parts, all on 127.0.0.1. */
export interface Stage {
  readonly envoyPort: number;
  readonly issuerPort: number;
  readonly issuerHost: string;
  readonly planner: Agent;
  readonly reporter: Agent;
  /** A workload of the same trust domain that stole the planner's token. */
  readonly thief: Agent;
  /** A workload of another trust domain. */
  readonly stranger: Agent;
  /** The decision in the last call that reached the tool server. */
  readonly lastDecision: () => string | undefined;
}

/** One step of the story, played. */
export interface Step {
  readonly title: string;
  /** The expected outcome: an HTTP status and, for a denial, its reason. */
  readonly expected: StoryOutcome;
  readonly seen: StoryOutcome;
  /** The decision, for finding record and trace; `null` if the issuer answered. */
  readonly decision: StepDecision | null;
  /** What the step demonstrates. */
  readonly because: string;
}

/** Ids of one decision. */
interface StepDecision {
  readonly id: string;
  readonly traceId: string;
}

/** The outcome of a call. */
export interface StoryOutcome {
  readonly status: number;
  readonly reason: string | null;
}

/** Whether the step went as expected. */
export const asExpected = ({ expected, seen }: Step): boolean =>
  expected.status === seen.status && expected.reason === seen.reason;

const PAYMENTS = 'payments.acme.test';
const AUDIENCE = 'https://payments.acme.test';
const allowed: StoryOutcome = { status: 200, reason: null };
const created: StoryOutcome = { status: 201, reason: null };
const denied = (status: number, reason: string): StoryOutcome => ({ status, reason });

/** The result of the story: its steps and the task. */
export interface Played {
  readonly steps: readonly Step[];
  readonly taskId: string | null;
}

/** Plays the story with real calls, step by step, reporting each. */
export async function playStory(stage: Stage, onStep: (step: Step) => void): Promise<Played> {
  const steps: Step[] = [];
  const tell = (step: Step): void => {
    steps.push(step);
    onStep(step);
  };
  const issued = await declare(stage, stage.planner, {
    purpose: 'settle payment p-1',
    actions: ['payments.read', 'payments.create'],
  });
  tell({
    title: 'the planner declares its intent and is issued a token',
    expected: allowed,
    seen: issued.seen,
    decision: null,
    because: 'the token lives 300 s, for one task, one server and this certificate',
  });
  const overreach = await declare(stage, stage.reporter, { purpose: 'tidy up', actions: ['payments.refund'] });
  tell({
    title: 'the reporter declares an intent that policy does not grant it',
    expected: denied(400, 'invalid_authorization_details'),
    seen: overreach.seen,
    decision: null,
    because: 'what may be granted is itself a Cedar decision',
  });
  const { token } = issued;
  for (const scene of scenes(stage, token)) {
    const reply = await answerTo(scene.by, stage.envoyPort, withToken(scene.call, scene.token));
    tell({ ...scene, ...outcomeOf(reply, stage) });
  }
  tell(await complete(stage, issued.taskId));
  const after = await answerTo(
    stage.planner,
    stage.envoyPort,
    withToken({ host: PAYMENTS, path: '/v1/payments/p-1' }, token),
  );
  tell({
    title: 'the very next call with the same token',
    expected: denied(403, 'task.completed'),
    because: 'the token is unexpired and its signature good: the task is over',
    ...outcomeOf(after, stage),
  });
  return { steps, taskId: issued.taskId };
}

/** Most attempts at one call, and the wait after the first; each further wait is longer by as much. */
const ATTEMPTS = { most: 8, firstWaitMs: 200 };

/** Calls, and calls again after a 503, as a client does: on a busy machine Envoy may not wait for the decision. */
async function answerTo(by: Agent, port: number, call: AgentCall): Promise<AgentReply> {
  for (let attempt = 1; ; attempt += 1) {
    const reply = await by.call(port, call);
    if (reply.status !== 503 || attempt === ATTEMPTS.most) return reply;
    await new Promise((resolve) => setTimeout(resolve, attempt * ATTEMPTS.firstWaitMs));
  }
}

interface Scene {
  readonly title: string;
  readonly by: Agent;
  readonly call: AgentCall;
  readonly token: string | null;
  readonly expected: StoryOutcome;
  readonly because: string;
}

const scenes = (stage: Stage, token: string): readonly Scene[] => [
  ...plannerScenes(stage, token),
  ...intruderScenes(stage, token),
];

/** The agent with the token: within its intent, and beyond it. */
const plannerScenes = ({ planner }: Stage, token: string): readonly Scene[] => [
  {
    title: 'the planner reads payment p-1',
    by: planner,
    call: { host: PAYMENTS, path: '/v1/payments/p-1' },
    token,
    expected: allowed,
    because: 'first use: within the intent and permitted',
  },
  {
    title: 'the planner reads it again',
    by: planner,
    call: { host: PAYMENTS, path: '/v1/payments/p-1' },
    token,
    expected: allowed,
    because: 'a reuse, linked to the use before and to the issuance',
  },
  {
    title: 'the planner pays 100 EUR',
    by: planner,
    call: payment(100),
    token,
    expected: created,
    because: 'high risk: the record is on disk before the answer',
  },
  {
    title: 'the planner refunds a payment',
    by: planner,
    call: { host: PAYMENTS, method: 'POST', path: '/v1/payments/p-1/refund' },
    token,
    expected: denied(403, 'action.outside-intent'),
    because: 'the declared intent names no refund',
  },
  {
    title: 'the planner calls without a token',
    by: planner,
    call: { host: PAYMENTS, path: '/v1/payments/p-1' },
    token: null,
    expected: denied(401, 'token.missing'),
    because: 'an identity alone opens nothing',
  },
  {
    title: 'the planner pays 900 EUR',
    by: planner,
    call: payment(900),
    token,
    expected: denied(403, 'policy.forbidden'),
    because: 'a forbid stands against amounts over 500',
  },
];

/** Workloads with the token of another. */
const intruderScenes = ({ planner, thief, stranger }: Stage, token: string): readonly Scene[] => [
  {
    title: 'a thief presents the stolen token',
    by: thief,
    call: { host: PAYMENTS, path: '/v1/payments/p-1' },
    token,
    expected: denied(401, 'token.binding'),
    because: 'the token is bound to the certificate of the planner',
  },
  {
    title: 'a workload of another trust domain calls',
    by: stranger,
    call: { host: PAYMENTS, path: '/v1/payments/p-1' },
    token,
    expected: denied(403, 'identity.untrusted-domain'),
    because: 'its certificate is good, its trust domain is not accepted',
  },
  {
    title: 'the thief adds an X-Forwarded-Client-Cert header that names the planner',
    by: thief,
    call: {
      host: PAYMENTS,
      path: '/v1/payments/p-1',
      headers: { 'x-forwarded-client-cert': `By=spiffe://acme.test/gateway;URI=${planner.id}` },
    },
    token,
    expected: denied(401, 'token.binding'),
    because: 'a header is no identity: the certificate is',
  },
];

const payment = (amount: number): AgentCall => ({
  host: PAYMENTS,
  method: 'POST',
  path: '/v1/payments',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ amount, currency: 'EUR' }),
});

const withToken = (call: AgentCall, token: string | null): AgentCall =>
  token === null ? call : { ...call, headers: { ...call.headers, authorization: `Bearer ${token}` } };

/** The outcome of a call; its decision is in the denial's header, or in the header the tool server received. */
function outcomeOf(
  reply: AgentReply,
  stage: Stage,
): { readonly seen: StoryOutcome; readonly decision: StepDecision | null } {
  const isAllowed = reply.status < 300;
  const header = isAllowed ? stage.lastDecision() : reply.headers['x-remit-decision'];
  return {
    seen: { status: reply.status, reason: isAllowed ? null : stringMember(jsonOf(reply), 'reason') },
    decision: decisionFrom(String(header)),
  };
}

const decisionFrom = (header: string): StepDecision | null => {
  const [, id, traceId] = /;id="([^"]+)";trace="([0-9a-f]{32})"/.exec(header) ?? [];
  return id === undefined || traceId === undefined ? null : { id, traceId };
};

interface Issued {
  readonly seen: StoryOutcome;
  readonly token: string;
  readonly taskId: string | null;
}

async function declare({ issuerPort, issuerHost }: Stage, agent: Agent, intent: TaskDeclaration): Promise<Issued> {
  const reply = await agent.call(issuerPort, { host: issuerHost, ...tokenRequest(AUDIENCE, intent) });
  const body = jsonOf(reply);
  return {
    seen: { status: reply.status, reason: stringMember(body, 'error') },
    token: stringMember(body, 'access_token') ?? '',
    taskId: stringMember(body, 'txn'),
  };
}

async function complete({ planner, issuerPort, issuerHost }: Stage, taskId: string | null): Promise<Step> {
  const reply = await planner.call(issuerPort, {
    host: issuerHost,
    method: 'POST',
    path: `/tasks/${taskId ?? ''}/complete`,
  });
  return {
    title: 'the planner completes its task',
    expected: allowed,
    seen: { status: reply.status, reason: stringMember(jsonOf(reply), 'error') },
    decision: null,
    because: 'the end is on disk before it is acknowledged',
  };
}

const jsonOf = (reply: AgentReply): unknown => {
  try {
    return JSON.parse(reply.body);
  } catch {
    return null;
  }
};

const stringMember = (body: unknown, member: string): string | null => {
  if (typeof body !== 'object' || body === null) return null;
  const value = Object.entries(body).find(([name]) => name === member)?.[1];
  return typeof value === 'string' ? value : null;
};
