import { once } from 'node:events';
import { Agent, request } from 'node:https';

/** Target, caller and connections of a flood. */
export interface FloodOrder {
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly connections: number;
}

/** An agent that requests tokens as fast as it is answered, until its process is ended: `fork` it and send a `FloodOrder`. */
const [{ connections, ...options }] = (await once(process, 'message')) as [FloodOrder];
const agent = new Agent({ keepAlive: true, maxSockets: connections });
const detail = {
  type: 'urn:remit:task',
  locations: ['https://files.acme.test'],
  actions: ['files.read'],
  purpose: 'flood',
};
const body = new URLSearchParams({
  grant_type: 'client_credentials',
  resource: 'https://files.acme.test',
  authorization_details: JSON.stringify([detail]),
}).toString();
const headers = { host: 'localhost', 'content-type': 'application/x-www-form-urlencoded' };

const ask = (): Promise<void> =>
  new Promise((settle) => {
    const asked = request(
      { ...options, agent, host: '127.0.0.1', path: '/oauth/token', method: 'POST', headers },
      (response) => response.resume().on('close', settle),
    );
    asked.on('error', () => settle()).end(body);
  });

const loop = async (): Promise<never> => {
  for (;;) await ask();
};
await Promise.all(Array.from({ length: connections }, loop));
