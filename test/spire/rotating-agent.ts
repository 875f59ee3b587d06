import { Agent, type AgentCall, type AgentReply } from '../../src/dev/agent.ts';
import { formPost } from '../../src/dev/issuer-request.ts';
import type { Svid, SvidSource } from '../../src/core/identity/svid.ts';
import { tlsMaterialOf } from '../../src/core/identity/svid.ts';

/** Where an agent finds the others, and how its token is bound. */
export interface AgentSettings {
  readonly envoyPort: number;
  readonly issuerPort: number;
  /** What the issuer binds tokens to: a `certificate` binding is made anew with each certificate. */
  readonly binding: 'certificate' | 'spiffe-id';
  /** The intent that is declared. */
  readonly detail: object;
  readonly resource: string;
}

/** A connection under one certificate and the token that goes with it. */
interface Session {
  readonly agent: Agent;
  readonly token: string;
  readonly expiresAtMs: number;
  readonly taskId: string;
  inFlight: number;
  isRetired: boolean;
}

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
/** A token that ends sooner is renewed by declaring the intent again. */
const RENEW_BEFORE_MS = 6_000;

/**
 * An agent as it should be written for SVIDs that rotate: a new certificate is a new connection, with the token bound to it,
 * before the old one is let go. Calls go on meanwhile. Lifecycle: `start` once its source has an SVID, `close` once.
 */
export class RotatingAgent {
  readonly #source: SvidSource;
  readonly #settings: AgentSettings;
  #session: Session;
  #isClosed = false;
  #changing: Promise<void> = Promise.resolve();
  readonly #stopListening: () => void;
  readonly #clock: NodeJS.Timeout;
  /** SVIDs that took the place of another. */
  rotations = 0;
  /** Tokens that were bound to a new certificate. */
  rebinds = 0;
  /** Intents that were declared. */
  declarations = 1;
  /** What went wrong beside the calls. */
  readonly problems: string[] = [];

  private constructor(source: SvidSource, settings: AgentSettings, session: Session) {
    this.#source = source;
    this.#settings = settings;
    this.#session = session;
    this.#stopListening = source.onChange((svid) => {
      this.rotations += 1;
      this.#change(() => this.#moved(svid));
    });
    this.#clock = setInterval(() => {
      if (this.#session.expiresAtMs - Date.now() < RENEW_BEFORE_MS) this.#change(() => this.#renewed());
    }, 500);
  }

  /** Declares the intent. */
  static async start(source: SvidSource, settings: AgentSettings): Promise<RotatingAgent> {
    const svid = source.current();
    if (svid === null) throw new Error(source.problem() ?? 'no svid');
    return new RotatingAgent(source, settings, await declared(agentOf(svid), settings));
  }

  get taskId(): string {
    return this.#session.taskId;
  }

  /** A call through Envoy with the token. */
  async call(call: AgentCall): Promise<AgentReply> {
    const session = this.#session;
    session.inFlight += 1;
    try {
      const headers = { ...call.headers, authorization: `Bearer ${session.token}` };
      return await session.agent.call(this.#settings.envoyPort, { ...call, headers });
    } finally {
      session.inFlight -= 1;
      letGo(session);
    }
  }

  /** Says that the task is complete. */
  complete(): Promise<AgentReply> {
    const { agent, taskId } = this.#session;
    return toIssuer(agent, this.#settings, `/tasks/${taskId}/complete`);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopListening();
    clearInterval(this.#clock);
    await this.#changing;
    retire(this.#session);
  }

  /** One change after the other. */
  #change(to: () => Promise<Session>): void {
    this.#changing = this.#changing
      .then(() => this.#changed(to))
      .catch((error) => void this.problems.push(String(error)));
  }

  async #changed(to: () => Promise<Session>): Promise<void> {
    if (this.#isClosed) return;
    const before = this.#session;
    this.#session = await to();
    retire(before);
  }

  async #moved(svid: Svid): Promise<Session> {
    const { token, expiresAtMs, taskId } = this.#session;
    const agent = agentOf(svid);
    if (this.#settings.binding === 'spiffe-id') return sessionOf(agent, { token, expiresAtMs, taskId });
    const body = { grant_type: TOKEN_EXCHANGE, subject_token: token, subject_token_type: ACCESS_TOKEN };
    const rebound = issuedOf(await toIssuer(agent, this.#settings, '/oauth/token', body));
    if (rebound.taskId !== taskId) throw new Error('the token is of another task');
    this.rebinds += 1;
    return sessionOf(agent, rebound);
  }

  async #renewed(): Promise<Session> {
    const svid = this.#source.current();
    if (svid === null) throw new Error(this.#source.problem() ?? 'no svid');
    this.declarations += 1;
    return declared(agentOf(svid), this.#settings);
  }
}

const agentOf = (svid: Svid): Agent => {
  const { certificate, key, bundle } = tlsMaterialOf(svid);
  return new Agent({ id: svid.id, certPem: certificate, keyPem: key }, bundle);
};

type Issued = Pick<Session, 'token' | 'expiresAtMs' | 'taskId'>;

const sessionOf = (agent: Agent, issued: Issued): Session => ({ agent, ...issued, inFlight: 0, isRetired: false });

function retire(session: Session): void {
  session.isRetired = true;
  letGo(session);
}

/** Connections of a session that is over end with its last call. */
function letGo({ agent, inFlight, isRetired }: Session): void {
  if (isRetired && inFlight === 0) agent.close();
}

async function declared(agent: Agent, settings: AgentSettings): Promise<Session> {
  const reply = await toIssuer(agent, settings, '/oauth/token', {
    grant_type: 'client_credentials',
    resource: settings.resource,
    authorization_details: JSON.stringify([settings.detail]),
  });
  return sessionOf(agent, issuedOf(reply));
}

function issuedOf({ status, body }: AgentReply): Issued {
  if (status !== 200) throw new Error(`the issuer answered ${status}: ${body}`);
  const { access_token: token, expires_in: seconds, txn: taskId } = JSON.parse(body);
  return { token, expiresAtMs: Date.now() + seconds * 1_000, taskId };
}

const toIssuer = (
  agent: Agent,
  { issuerPort }: AgentSettings,
  path: string,
  body: Readonly<Record<string, string>> = {},
): Promise<AgentReply> =>
  agent.call(issuerPort, {
    host: `localhost:${issuerPort}`,
    ...formPost(path, body),
  });
