"""Progress is plain lines on standard error where there is no terminal."""

from lamina.flows import progress


def test_plain_lines_go_to_standard_error(capsys):
    with progress.step("compiling") as report:
        report(1, 2)
    progress.say("done")
    captured = capsys.readouterr()
    assert captured.err == "compiling\ndone\n"
    assert captured.out == ""


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.step("simulating") as report:
        report(20, 20)
    assert "20/20" in capsys.readouterr().err
