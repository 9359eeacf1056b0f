"""People and judges: sessions in which people label, their agreement, correction, the report card.

A session begins
    session      what was settled when it began, and what people said of each case
    drawing      which cases people label, with the chance of each, in which split, and who labels which
    plan         what it takes, and what its labels will be able to say: expected (by simulation), advice (what would
                 do), plan_result and plan_words (how that is shown)
People label
    desk         opens sessions, asks people case by case, keeps what they say: opening, asks, known, said, saving
    session_rows, case_names    rows of the store; names of cases that say nothing
    exchange     labels out and in: sheets (CSV), lines for git, examples, soft labels (soft)
A judge is held against them
    card         the report card: compared (which cases), figures, projected, corrected, people (the ceiling), parted
                 (slices), disagreements, spent, flags, needs, verdict; their sum is `result`
    sentences, next_step, card_table, report_page, report_cases, figure_text, interval_bars    how it is shown
    flags        what is wrong with a judge (flag): copies and copied, swayed
    anchors      a fixed set judged again: did the judge move, or the system? anchor_sets is its file
"""
