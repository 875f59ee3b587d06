import { HeldStart } from './held-start.ts';

/** A longer card is passed on unchanged. */
const MAX_CARD_BYTES = 262_144;

/** The path of an A2A agent's card below the agent's URL: `agent-card.json`, before A2A 0.3 `agent.json`. */
const CARD_PATH = /\/\.well-known\/agent(?:-card)?\.json(?:\?|$)/;

/** Whether a request is for an agent's card. */
export const isForCard = (rest: string): boolean => CARD_PATH.test(rest);

/**
 * Rewrites the URLs of an A2A agent in its card, since clients call these, not the address that served the card. Anything else is passed
 * on unchanged. A signature of the card no longer verifies: it is for clients that call the agent itself.
 *
 * @param localised gives the URL that the client must call
 * @see A2A 1.0, AgentInterface; A2A 0.3, AgentCard.url
 */
export const agentCardUrls = (localised: (url: string) => string): HeldStart =>
  new HeldStart({
    maxBytes: MAX_CARD_BYTES,
    rewritten: (start, isWhole) => (isWhole ? localCard(start, localised) : null),
  });

function localCard(bytes: Buffer, localised: (url: string) => string): Buffer {
  const card = objectIn(bytes.toString());
  if (card === null) return bytes;
  const withLocal = (value: object): object =>
    'url' in value && typeof value.url === 'string' ? { ...value, url: localised(value.url) } : value;
  const changed = INTERFACES.flatMap((name) => {
    const list = card[name];
    return Array.isArray(list) ? [[name, list.map((one) => (isObject(one) ? withLocal(one) : one))] as const] : [];
  });
  return Buffer.from(JSON.stringify({ ...withLocal(card), ...Object.fromEntries(changed) }));
}

/** Lists with the URLs of an agent: of A2A 1.0, and of 0.3. */
const INTERFACES = ['supportedInterfaces', 'additionalInterfaces'] as const;

function objectIn(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? (value as Readonly<Record<string, unknown>>) : null;
  } catch {
    return null;
  }
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
