/** Asks until the answer is what is wanted; fails with the last answer, so that a log says how far it came. */
export async function until<T>(
  what: string,
  ask: () => Promise<T> | T,
  isWanted: (answer: T) => boolean,
  limitMs = 30_000,
): Promise<T> {
  const end = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (isWanted(answer)) return answer;
    if (Date.now() > end)
      throw new Error(`waited ${limitMs} ms in vain for: ${what}; last seen: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
