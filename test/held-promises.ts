/** Calls that are answered when they are told to, in any order: what another thread or machine has not answered yet. */
export class HeldPromises {
  #waiting: { readonly name: string; readonly go: () => void }[] = [];

  /** The calls that wait, in their order. */
  get waiting(): readonly string[] {
    return this.#waiting.map(({ name }) => name);
  }

  /** The same calls, each made once it is let go: what it does happens then. */
  hold<T extends object>(target: T, names: readonly (keyof T & string)[]): T {
    const held = names.map((name) => [
      name,
      async (...input: unknown[]): Promise<unknown> => {
        await new Promise<void>((go) => this.#waiting.push({ name, go }));
        // Every method of what is held is a function of promises.
        return Reflect.apply(target[name] as (...input: unknown[]) => unknown, target, input);
      },
    ]);
    return { ...target, ...Object.fromEntries(held) };
  }

  /** Lets one call go, by its place among those that wait. */
  release(at = 0): void {
    const [next] = this.#waiting.splice(at, 1);
    next?.go();
  }
}
