/** Types of the used parts of two parsers without types. */
declare module 'express' {
  import type { Server } from 'node:http';

  interface App {
    set(setting: 'query parser', parser: 'extended'): void;
    get(
      path: string,
      handler: (request: { readonly query: object }, response: { json(body: object): void }) => void,
    ): void;
    listen(port: number, host: string): Server;
  }
  export default function express(): App;
}

declare module 'qs' {
  const qs: {
    parse(
      query: string,
      options?: { readonly allowDots?: boolean; readonly allowPrototypes?: boolean },
    ): Record<string, unknown>;
  };
  export default qs;
}
