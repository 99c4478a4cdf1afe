"""A trained network finds where somebody speaks in a recording.

    pip install --no-deps silero-vad
    python examples/speech.py recording.wav
    python examples/speech.py --say "Versant listens."      (spoken by espeak-ng, which must be installed)

The network is Silero VAD for 16 kHz: its weights, in safetensors, lie in the wheel silero-vad (MIT). It hears
32 milliseconds at a time, and an LSTM remembers what came before.
"""

import argparse
import importlib.util
import io
import shutil
import subprocess
import wave
from pathlib import Path

import versant as torch
from versant import nn
from versant.nn import functional as F

RATE = 16_000  # samples a second
CHUNK, CONTEXT = 512, 64  # samples heard at a time, and those before them that are heard again
FREQUENCIES = 129


def weights_file() -> Path:
    found = importlib.util.find_spec("silero_vad")
    if found is None or found.origin is None:
        raise SystemExit("the weights are missing: pip install --no-deps silero-vad")
    return Path(found.origin).parent / "data" / "silero_vad_16k.safetensors"


class VoiceDetector(nn.Module):
    """x: (N, CONTEXT + CHUNK) -> the chance that it is speech, (N,), and the state to go on with"""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * FREQUENCIES, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(FREQUENCIES, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, x: torch.Tensor, state: tuple | None) -> tuple[torch.Tensor, tuple]:
        x = self.stft_conv(F.pad(x.unsqueeze(1), (0, CONTEXT), mode="reflect"))
        x = (x[:, :FREQUENCIES] ** 2 + x[:, FREQUENCIES:] ** 2).sqrt()
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(layer(x))
        h, c = self.lstm_cell(x.squeeze(-1), state)
        return torch.sigmoid(self.final_conv(F.relu(h).unsqueeze(-1))).squeeze(-1).squeeze(-1), (h, c)


def load(path: Path) -> VoiceDetector:
    model = VoiceDetector()
    model.load_state_dict(torch.load(path))
    return model.eval()


def read_wav(file: Path | io.BytesIO) -> torch.Tensor:
    """The sound of a WAV file of 16 bits, one channel, 16 kHz, in [-1, 1).  -> (samples,)"""
    with wave.open(str(file) if isinstance(file, Path) else file) as sound:
        if sound.getsampwidth() != 2:
            raise ValueError(f"expected 16 bits a sample, got {8 * sound.getsampwidth()}")
        rate, channels = sound.getframerate(), sound.getnchannels()
        data = bytearray(sound.readframes(sound.getnframes()))
    samples = torch.frombuffer(data, dtype=torch.int16).view(-1, channels).float().mean(1) / 32768
    if rate == RATE:
        return samples
    # Along straight lines between the samples: good enough to hear whether somebody speaks.
    times = torch.arange((len(samples) - 1) * RATE // rate) * (rate / RATE)
    before = times.long()
    return torch.lerp(samples[before], samples[before + 1], times - before)


def say(text: str) -> torch.Tensor:
    """The sound of espeak-ng speaking, with a second of silence before and after."""
    if shutil.which("espeak-ng") is None:
        raise SystemExit("espeak-ng is missing: apt install espeak-ng, or give a WAV file")
    spoken = subprocess.run(["espeak-ng", "--stdout", text], capture_output=True, check=True).stdout
    # What espeak-ng writes to a pipe claims a length that it cannot know yet.
    length = (len(spoken) - 44).to_bytes(4, "little")
    return F.pad(read_wav(io.BytesIO(spoken[:40] + length + spoken[44:])), (RATE, RATE))


def chances(model: nn.Module, sound: torch.Tensor) -> torch.Tensor:
    """For each chunk of a sound how likely it is speech.  sound: (samples,) -> (chunks,)"""
    sound = F.pad(sound, (CONTEXT, -len(sound) % CHUNK))
    state, found = None, []
    with torch.no_grad():
        for start in range(0, len(sound) - CONTEXT, CHUNK):
            chance, state = model(sound[start : start + CONTEXT + CHUNK].unsqueeze(0), state)
            found.append(chance)
    return torch.cat(found)


def passages(likely: list[float], threshold: float = 0.5, patience: int = 10) -> list[tuple[float, float]]:
    """Begin and end, in seconds, of each stretch of speech; pauses of a few chunks do not end one."""
    seconds = CHUNK / RATE
    found: list[list[int]] = []
    for i, chance in enumerate(likely):
        if chance >= threshold:
            if found and i - found[-1][1] <= patience:
                found[-1][1] = i + 1
            else:
                found.append([i, i + 1])
    return [(begin * seconds, end * seconds) for begin, end in found]


def main(arguments: list[str] | None = None) -> list[tuple[float, float]]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("wav", type=Path, nargs="?")
    parser.add_argument("--say", metavar="TEXT", default="Versant listens. It hears where somebody speaks.")
    options = parser.parse_args(arguments)
    sound = read_wav(options.wav) if options.wav else say(options.say)
    likely = chances(load(weights_file()), sound).tolist()
    found = passages(likely)
    print(f"{len(sound) / RATE:.2f} s of sound, {sum(end - begin for begin, end in found):.2f} s of speech")
    print("".join(" .:-=+*#%@"[min(9, int(10 * chance))] for chance in likely))
    for begin, end in found:
        print(f"speech from {begin:.2f} s to {end:.2f} s")
    return found


if __name__ == "__main__":
    main()
