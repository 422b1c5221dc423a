/** Reads a QR code with the camera: by the browser's own reader, or by one that is fetched when there is none. */

import { useEffect, useRef, useState } from "react"
import { useApp } from "../app/context.tsx"

/** Pause between two looks, milliseconds. */
const LOOK_MS = 200

interface Reader {
  detect(source: HTMLVideoElement): Promise<readonly { readonly rawValue: string }[]>
}

async function makeReader(): Promise<Reader> {
  const native = (globalThis as { BarcodeDetector?: new (options: { formats: string[] }) => Reader }).BarcodeDetector
  if (native !== undefined) return new native({ formats: ["qr_code"] })
  const { decodeQR } = await import("qr/decode.js")
  const canvas = new OffscreenCanvas(1, 1)
  const context = canvas.getContext("2d", { willReadFrequently: true })
  return {
    detect(video) {
      if (context === null) return Promise.resolve([])
      canvas.width = video.videoWidth
      canvas.height = video.videoHeight
      context.drawImage(video, 0, 0)
      try {
        return Promise.resolve([{ rawValue: decodeQR(context.getImageData(0, 0, canvas.width, canvas.height)) }])
      } catch {
        // No code in this picture: that is how the reader says it.
        return Promise.resolve([])
      }
    },
  }
}

/** See the module. `onText` answers whether that was a code of ours. */
export function Scanner({ onText, onStop }: { readonly onText: (text: string) => boolean; readonly onStop: () => void }) {
  const { t } = useApp().speaker
  const video = useRef<HTMLVideoElement>(null)
  const [isBroken, setBroken] = useState(false)
  useEffect(() => {
    let isOver = false
    let stream: MediaStream | null = null
    const look = async (): Promise<void> => {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } })
      const reader = await makeReader()
      const screen = video.current
      if (isOver || screen === null) return stop(stream)
      screen.srcObject = stream
      await screen.play()
      while (!isOver) {
        if (screen.videoWidth > 0) for (const { rawValue } of await reader.detect(screen)) if (onText(rawValue)) return
        await new Promise((resume) => setTimeout(resume, LOOK_MS))
      }
    }
    look().catch(() => setBroken(true))
    return () => {
      isOver = true
      stop(stream)
    }
  }, [onText])
  return (
    <div className="scanner">
      {isBroken ? (
        <p className="trouble" role="alert">{t("enrol.noCamera")}</p>
      ) : (
        <>
          <video ref={video} muted playsInline aria-label={t("enrol.scanning")} />
          <p role="status">{t("enrol.scanning")}</p>
        </>
      )}
      <button type="button" className="button" onClick={onStop}>{t("enrol.stop")}</button>
    </div>
  )
}

function stop(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop()
}
