/** The device of this browser, by the SDK. */

import type { Connect } from "./port.ts"

/** Not joined to the SDK yet: a page built like this says that it could not start. */
export const connect: Connect = () => Promise.reject(new Error("this build has no SDK"))
